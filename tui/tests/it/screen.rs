//! The console's screen, driven key by key in a pseudo-terminal, on a real volume.

use std::io::{Read, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take to be seen.
const PATIENCE: Duration = Duration::from_secs(10);

/// The console in a terminal.
pub struct Console {
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Option<Box<dyn Write + Send>>,
    pub child: Box<dyn Child + Send + Sync>,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    parser: vt100::Parser,
    bytes: Vec<u8>,
}

pub struct Setup<'a> {
    pub size: (u16, u16),
    pub args: &'a [&'a str],
    pub env: &'a [(&'a str, &'a str)],
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Setup { size: (80, 24), args: &[], env: &[] }
    }
}

impl Console {
    pub fn start(volume: &Path) -> Console {
        Console::with(volume, &Setup::default())
    }

    pub fn with(volume: &Path, setup: &Setup<'_>) -> Console {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_sounding"));
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command.env("TERM", "xterm-256color");
        // No server, unless the test names one.
        command.env("SOUNDING_ADMIN", volume.join("no.sock"));
        command.arg("--volume");
        command.arg(volume);
        command.args(setup.args);
        for (name, value) in setup.env {
            command.env(name, value);
        }
        Console::run(command, setup.size)
    }

    pub fn run(command: CommandBuilder, (cols, rows): (u16, u16)) -> Console {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let parser =
            vt100::Parser::new(NonZero::new(rows).unwrap(), NonZero::new(cols).unwrap(), 0);
        let seen = Arc::new(Mutex::new(Seen { parser, bytes: Vec::new() }));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut chunk) {
                let mut seen = shared.lock().unwrap();
                seen.parser.process(&chunk[..count]);
                seen.bytes.extend_from_slice(&chunk[..count]);
            }
        });
        let writer = pair.master.take_writer().unwrap();
        Console { master: Some(pair.master), writer: Some(writer), child, seen }
    }

    pub fn text(&self) -> String {
        self.seen.lock().unwrap().parser.screen().contents()
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.seen.lock().unwrap().bytes.clone()
    }

    /// What a look at the terminal's state says.
    pub fn look<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.seen.lock().unwrap().parser.screen())
    }

    pub fn type_in(&mut self, keys: &str) {
        self.writer.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen has a text.
    pub fn wait(&self, text: &str) -> String {
        self.wait_until(text, |it| it.contains(text))
    }

    pub fn wait_gone(&self, text: &str) {
        self.wait_until(text, |it| !it.contains(text));
    }

    fn wait_until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            let text = self.text();
            if is_so(&text) {
                return text;
            }
            assert!(began.elapsed() < PATIENCE, "waited for {what:?}:\n{text}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Keys, and what is to be seen then. A question drops what is typed ahead of it, so each is waited for.
    pub fn press(&mut self, keys: &str, text: &str) -> String {
        self.type_in(keys);
        let seen = self.wait(text);
        std::thread::sleep(Duration::from_millis(160));
        seen
    }

    pub fn resize(&mut self, cols: u16, rows: u16) {
        let (some_rows, some_cols) = (NonZero::new(rows).unwrap(), NonZero::new(cols).unwrap());
        self.seen.lock().unwrap().parser.screen_mut().set_size(some_rows, some_cols);
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        self.master.as_ref().unwrap().resize(size).unwrap();
    }

    /// Whether the alternate screen is left, the cursor shown, and lines are read and echoed as before.
    pub fn is_restored(&self) -> bool {
        let modes =
            self.master.as_ref().unwrap().get_termios().map(|it| format!("{:?}", it.local_flags));
        let modes = modes.unwrap_or_default();
        !self.look(vt100::Screen::alternate_screen)
            && !self.look(vt100::Screen::hide_cursor)
            && modes.contains("ICANON")
            && modes.contains("ECHO")
    }

    /// The last bytes may still be on their way when the program has ended.
    pub fn wait_restored(&self, what: &str) {
        let began = Instant::now();
        while !self.is_restored() {
            assert!(began.elapsed() < PATIENCE, "{what}: not restored");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn status(&mut self) -> u32 {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(began.elapsed() < PATIENCE, "it does not end:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

/// A volume with a little of everything.
pub struct Place(pub tempfile::TempDir);

impl Place {
    pub fn new() -> Place {
        Place::filled(tempfile::tempdir().unwrap())
    }

    /// On a disk that nobody else writes to, where there is one: free space that changes is news.
    pub fn apart() -> Place {
        let memory = Path::new("/dev/shm");
        let apart = memory.is_dir().then(|| tempfile::tempdir_in(memory).unwrap());
        apart.map_or_else(Place::new, Place::filled)
    }

    fn filled(folder: tempfile::TempDir) -> Place {
        let place = Place(folder);
        for path in [
            "berlin/it.2/a.csv",
            "berlin/it.10/b.csv",
            "berlin/trips.csv",
            "public/logo.png",
            "zurich/x",
        ] {
            place.put(path, "content\n");
        }
        let key = "imove,imove-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUmx9Qd,read,,,2024-03-11,dashboards\n";
        place.put(".sounding/auth-keys.csv", key);
        place
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub fn put(&self, path: &str, content: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    pub fn keys(&self) -> String {
        std::fs::read_to_string(self.path(".sounding/auth-keys.csv")).unwrap()
    }
}

#[test]
fn folders_are_walked_through_and_the_way_back_is_remembered() {
    let place = Place::new();
    let mut console = Console::start(place.0.path());
    console.press("", "berlin/");
    let seen = console.press("\r", "trips.csv");
    let at = |text: &str| seen.find(text).unwrap();
    assert!(at("it.2/") < at("it.10/") && at("it.10/") < at("trips.csv"), "{seen}");
    console.press("j\r", "b.csv");
    console.press("h", "trips.csv");
    assert!(console.wait("3 items").lines().any(|it| it.contains("▸ it.10/")));
    console.type_in("q");
    assert_eq!(console.status(), 0);
}

#[test]
fn the_tree_is_changed_and_changed_back() {
    let place = Place::new();
    let mut console = Console::start(place.0.path());
    console.press("", "berlin/");
    console.press("\r", "trips.csv");
    console.press("G", "▸ trips.csv");
    console.press("d", "moved trips.csv to trash");
    assert!(!place.has("berlin/trips.csv") && place.has(".sounding/trash/files/trips.csv"));
    console.press("u", "undone: moved trips.csv to trash");
    assert!(place.has("berlin/trips.csv"));
    console.press("G", "▸ trips.csv");
    console.press("r", "Rename trips.csv");
    console.press("-old\r", "renamed trips.csv to trips-old.csv");
    assert!(place.has("berlin/trips-old.csv"));
    console.press("u", "undone: renamed");
    assert!(place.has("berlin/trips.csv"));
    console.press("g", "▸ ..");
    console.press("j *", "3 selected");
    console.press("y", "Copy 3 items");
    console.press("\x15/zurich\r", "If it exists");
    console.press("\r", "copied 3 items to /zurich");
    assert!(place.has("zurich/it.10/b.csv") && place.has("berlin/it.10/b.csv"));
    console.press("u", "undone, now in the trash: copied 3 items");
    assert!(!place.has("zurich/it.10/b.csv"));
    console.press("n", "New folder");
    console.press("fresh\r", "made fresh");
    assert!(place.path("berlin/fresh").is_dir());
    console.press("t", "Trash: 3 items");
    console.press("\x1b", "fresh/");
    console.press("X", "Empty the trash");
    console.press("empty\r", "removed 3 items for good");
    assert_eq!(std::fs::read_dir(place.path(".sounding/trash/files")).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_undone_is_not_done_by_enter_alone() {
    let place = Place::new();
    let mut console = Console::start(place.0.path());
    console.press("", "berlin/");
    console.press("d", "moved berlin to trash");
    console.press("X", "Empty the trash");
    console.press("\r", "type empty to do it");
    console.press("\x1b", "public/");
    assert!(place.has(".sounding/trash/files/berlin"));
    console.press("4", "imove-..x9Qd");
    console.press("d", "Revoke key imove-..x9Qd");
    console.press("\r", "these are not its last characters");
    console.press("\x1b", "dashboards");
    assert!(place.keys().contains("imove-8Jq0"));
}

#[test]
fn a_filter_ranks_and_a_search_streams() {
    let place = Place::new();
    let mut console = Console::start(place.0.path());
    console.press("", "berlin/");
    console.press("\r", "trips.csv");
    console.press("/trp", "1 of 3 items");
    assert!(console.text().contains("▸ trips.csv"));
    console.press("\x1b", "3 items");
    console.press("/zzz", "Nothing matches 'zzz'. Esc shows all 3.");
    console.press("\x1b", "3 items");
    console.press("f", "Find below /berlin");
    let seen = console.press(".csv\r", "3 hits");
    assert!(seen.contains("/berlin/it.10/b.csv"), "{seen}");
    console.press("\r", "1 item");
    console.press("h", "trips.csv");
    console.press("U", "disk use");
    console.wait("it.10/");
    console.press("\x1b", "3 items");
}

#[test]
fn a_key_lives_on_the_screen() {
    let place = Place::new();
    let mut console = Console::start(place.0.path());
    console.press("4", "imove-..x9Qd");
    console.press("a", "Add a key");
    console.press("kmt\tci\t\t\t\r", "shown this one time");
    let shown = console.text();
    let key = shown
        .split_whitespace()
        .find(|it| it.starts_with("kmt-") && it.len() == 36)
        .unwrap()
        .to_owned();
    console.press("\r", "made key kmt-..");
    console.wait_gone(&key);
    assert!(place.keys().contains(&format!("kmt,{key},read,,20")));
    console.press("p", "switched off");
    assert!(place.keys().contains(&format!("# kmt,{key}")));
    console.press("u", "undone: key");
    assert!(place.keys().contains(&format!("\nkmt,{key}")));
    console.press("e", "Note");
    console.press("\x15for cluster\r", "May");
    console.press("\r\r\r", "changed");
    assert!(place.keys().contains(",for cluster\n"), "{}", place.keys());
    console.press("o", "The new key ends");
    console.press("\r90d\r", "shown this one time");
    console.press("\r", "made key");
    assert_eq!(place.keys().matches("\nkmt,").count(), 2);
    console.press("gj", "▸ kmt");
    console.press("d", "Revoke key kmt-..");
    console.press(&format!("{}\r", &key[32..]), "revoked");
    assert!(!place.keys().contains(&key));
}

#[test]
fn a_warning_is_mended_by_one_key() {
    let place = Place::new();
    place.put(
        ".sounding/auth-keys.csv",
        "username,apikey\nkmt, kmt-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUmx9Qd\n",
    );
    let mut console = Console::start(place.0.path());
    console.press("4", "2 warnings (w)");
    console.press("w", "made a comment");
    console.press("", "1 warning (w)");
    console.press("w", "freed of its spaces");
    assert_eq!(place.keys(), "# username,apikey\nkmt,kmt-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUmx9Qd\n");
    console.press("w", "nothing is wrong");
}

#[test]
fn an_edit_by_somebody_else_is_not_overwritten() {
    let place = Place::new();
    let mut console = Console::start(place.0.path());
    console.press("4", "imove-..x9Qd");
    console.press("d", "Revoke key");
    let other = "zoe,zoe-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUmx9Qd\n";
    place.put(".sounding/auth-keys.csv", &format!("{other}{}", place.keys()));
    console.press("x9Qd\r", "changed by somebody else");
    assert!(place.keys().contains("zoe-8Jq0") && place.keys().contains("imove-8Jq0"));
}

#[test]
fn a_share_link_is_made_on_the_spot() {
    let place = Place::new();
    let mut console = Console::with(
        place.0.path(),
        &Setup { args: &["--url", "https://x.fly.dev"], ..Setup::default() },
    );
    console.press("", "berlin/");
    console.press("i", "1 key can read it");
    console.press("c", "https://x.fly.dev/files/berlin/");
    console.press("y", "sent to your terminal's clipboard");
    console.press("\r", "1 key can read it");
    console.press("S", "Share /berlin");
    let seen = console.press("\r", "https://x.fly.dev/share/share-");
    assert!(seen.contains("/berlin/"), "{seen}");
    console.press("y", "sent to your terminal's clipboard");
    let sent = console.bytes();
    assert_eq!(sent.windows(7).filter(|it| it == b"\x1b]52;c;").count(), 2);
    console.press("\r", "sort");
    assert!(!console.text().contains("share-"));
    assert!(place.keys().contains(",read,berlin,"));
}

#[test]
fn what_the_list_does_not_show_is_counted_and_can_be_deleted() {
    let place = Place::new();
    place.put("berlin/.trips.csv.Xk3f9q", "content");
    std::os::unix::fs::symlink("gone", place.path("berlin/broken")).unwrap();
    let mut console = Console::start(place.0.path());
    console.press("", "berlin/");
    let seen = console.wait("3 items ");
    assert!(seen.lines().any(|it| it.contains("berlin/") && it.contains("3 items")), "{seen}");
    let seen = console.press("\r", "3 items, 2 not shown");
    assert!(seen.contains("2 not shown: . lists them"), "{seen}");
    let seen = console.press(".", ".trips.csv.Xk3f9q");
    assert!(seen.contains("hidden name") && seen.contains("link to nothing"), "{seen}");
    console.press("d", "moved .trips.csv.Xk3f9q to trash");
    assert!(!place.has("berlin/.trips.csv.Xk3f9q"));
    console.press("", "1 not shown in /berlin");
    console.press("\x1b", "1 not shown: . lists");
    console.press("u", "undone: moved .trips.csv.Xk3f9q");
    assert!(place.has("berlin/.trips.csv.Xk3f9q"));
    console.press(".", "2 not shown in /berlin");
    console.press("D", "u undoes it");
    console.press("\r", "moved 2 items to trash");
    console.wait_gone("not shown");
    assert_eq!(std::fs::read_dir(place.path("berlin")).unwrap().count(), 3);
    console.press("u", "undone: moved 2 items");
    assert_eq!(std::fs::read_dir(place.path("berlin")).unwrap().count(), 5);
}

#[test]
fn what_is_public_is_shared_without_a_key() {
    let place = Place::new();
    let before = place.keys();
    let args = &["--url", "https://x.fly.dev"];
    let mut console = Console::with(place.0.path(), &Setup { args, ..Setup::default() });
    console.press("", "public/");
    console.press("j", "▸ public/");
    for key in ["c", "S"] {
        let seen = console.press(key, "Anyone can open it, without a key.");
        assert!(seen.contains("https://x.fly.dev/files/public/"), "{seen}");
        assert!(!seen.contains("a key that covers it"), "{seen}");
        console.press("\r", "sort");
    }
    assert_eq!(place.keys(), before);
}

#[test]
fn names_that_could_do_harm_are_shown_escaped_and_can_be_renamed() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let evil: [&[u8]; 4] =
        [b"a\x1b[2Jb", b"new\nline", b"m\xfcnchen", "x\u{202e}gpj.exe".as_bytes()];
    for name in evil {
        place.put("berlin/plain", "");
        std::fs::write(place.path("zurich").join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
    }
    let mut console = Console::start(place.0.path());
    console.press("", "berlin/");
    console.press("G\r", "new\\nline");
    let seen = console.wait("x\\u{202e}gpj.exe");
    assert!(seen.contains("a\\x1b[2Jb") && seen.contains("m\\xFCnchen"), "{seen}");
    let bytes = console.bytes();
    assert!(!bytes.windows(6).any(|it| it == b"a\x1b[2Jb") && !bytes.contains(&0xfc));
    console.press("/m\\xFC\r", "▸ m\\xFCnchen");
    console.press("r", "Rename m\\xFCnchen");
    console.press("\x15muenchen\r", "renamed m\\xFCnchen to muenchen");
    assert!(place.has("zurich/muenchen"));
}

#[test]
fn help_and_palette_know_the_keys_and_the_commands() {
    let place = Place::new();
    let mut console = Console::start(place.0.path());
    console.press("", "berlin/");
    console.press("?", "one line up");
    console.press("4", "Type: reset");
    console.press("\x1b", "berlin/");
    console.press("?", "one line up");
    console.press("/revoke", "sounding keys revoke kmt");
    assert!(!console.text().contains("one line up"));
    console.press("\x1b", "one line up");
    console.press("q", "berlin/");
    console.press(":", "Command");
    console.press("find logo\r", "/public/logo.png");
    console.press("\x1b", "berlin/");
    console.press(":", "Command");
    console.press("lx\r", "unrecognized subcommand");
    console.press("\x1b", "berlin/");
    console.press(":goto zu\t", "goto zurich/");
    console.press("\r", "/zurich ");
    console.press(":theme mono\r", "kept on the volume");
    console.type_in("q");
    assert_eq!(console.status(), 0);
    let again = Console::start(place.0.path());
    again.wait("berlin/");
    assert!(!again.bytes().windows(5).any(|it| it == b"\x1b[38;"), "as it was left");
}

#[test]
fn read_only_means_it() {
    let place = Place::new();
    let mut console =
        Console::with(place.0.path(), &Setup { args: &["--read-only"], ..Setup::default() });
    console.press("", "berlin/");
    console.press("d", "nothing is changed");
    assert!(place.has("berlin"));
}

type End<'a> = &'a dyn Fn(&mut Console);

fn signal(console: &mut Console, signal: Signal) {
    let pid = i32::try_from(console.child.process_id().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

#[test]
fn the_end_gives_the_terminal_back_whatever_ends_it() {
    let end: [(&str, End<'_>); 4] = [
        ("q", &|it| it.type_in("q")),
        ("^C", &|it| it.type_in("\x03")),
        ("SIGTERM", &|it| signal(it, Signal::TERM)),
        ("SIGHUP", &|it| signal(it, Signal::HUP)),
    ];
    for (name, end) in end {
        let place = Place::new();
        let mut console = Console::start(place.0.path());
        console.wait("berlin/");
        assert!(
            console.look(vt100::Screen::alternate_screen)
                && console.look(vt100::Screen::hide_cursor)
        );
        end(&mut console);
        assert_eq!(console.status(), 0, "{name}");
        console.wait_restored(name);
    }
}

/// Not a test by itself: what is run by the next one.
#[test]
#[ignore = "is run in a terminal by the test below"]
fn panics_while_it_has_the_terminal() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    sounding::term::install_panic_hook();
    runtime.block_on(async {
        let tty = sounding::term::Tty::open().unwrap();
        while !tty.is_idle() {
            tty.flush().await.unwrap();
        }
        panic!("as this test wants it");
    });
}

#[test]
fn a_panic_gives_the_terminal_back_and_can_be_read() {
    let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
    command.env("TERM", "xterm");
    command.args(["--ignored", "--nocapture", "--exact"]);
    command.arg("screen::panics_while_it_has_the_terminal");
    let mut console = Console::run(command, (80, 24));
    assert_ne!(console.status(), 0);
    let seen = console.wait("internal error");
    assert!(console.bytes().windows(8).any(|it| it == b"\x1b[?1049h"), "it had the terminal");
    assert!(console.is_restored() && seen.contains("as this test wants it"), "{seen}");
}

/// A console whose screen nobody reads. It has drawn when this returns.
fn unread(place: &Place) -> (Box<dyn MasterPty + Send>, Box<dyn Child + Send + Sync>) {
    let pair =
        native_pty_system().openpty(PtySize { rows: 60, cols: 200, ..PtySize::default() }).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_sounding"));
    command.env("TERM", "xterm");
    command.env("SOUNDING_VOLUME", place.0.path());
    command.env("SOUNDING_ADMIN", place.path("no.sock"));
    let child = pair.slave.spawn_command(command).unwrap();
    // All of it is read but what comes later, so that it has begun.
    let mut reader = pair.master.try_clone_reader().unwrap();
    let mut chunk = [0; 4096];
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("berlin") {
        let count = reader.read(&mut chunk).unwrap();
        seen.extend_from_slice(&chunk[..count]);
    }
    (pair.master, child)
}

fn ends_within(child: &mut Box<dyn Child + Send + Sync>, most: Duration) {
    let began = Instant::now();
    while began.elapsed() < most {
        if let Some(status) = child.try_wait().unwrap() {
            return assert_eq!(status.exit_code(), 0);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    panic!("it did not end");
}

#[test]
fn a_terminal_that_goes_away_ends_it() {
    let place = Place::new();
    let (master, mut child) = unread(&place);
    drop(master);
    ends_within(&mut child, PATIENCE);
}

#[test]
fn a_terminal_that_takes_nothing_does_not_hold_up_the_end() {
    let place = Place::new();
    let (master, mut child) = unread(&place);
    let mut writer = master.take_writer().unwrap();
    // Each draws all of the screen, until the line takes no more.
    for _ in 0..200 {
        writer.write_all(b"\x0c").unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(child.try_wait().unwrap().is_none());
    let pid = i32::try_from(child.process_id().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    ends_within(&mut child, PATIENCE);
}

#[test]
fn an_idle_screen_sends_nothing_and_asks_the_terminal_nothing() {
    let place = Place::apart();
    let mut console = Console::start(place.0.path());
    console.press("", "berlin/");
    console.press("j", "▸ public/");
    std::thread::sleep(Duration::from_millis(1500));
    let before = console.bytes().len();
    std::thread::sleep(Duration::from_secs(7));
    let bytes = console.bytes();
    assert_eq!(bytes.len(), before, "{:?}", String::from_utf8_lossy(&bytes[before..]));
    for query in [&b"\x1b[c"[..], b"\x1b[6n", b"]11;?", b"\x1b[>", b"\x1b[?1000"] {
        assert!(!bytes.windows(query.len()).any(|it| it == query), "{query:?}");
    }
}

/// Arguments, variables, and whether only ASCII may be sent.
type Look<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], bool);

#[test]
fn the_chosen_row_is_reversed_in_every_terminal_and_ascii_is_ascii() {
    let setups: [Look<'_>; 8] = [
        (&[], &[("TERM", "xterm")], false),
        (&[], &[("TERM", "screen")], false),
        (&[], &[("TERM", "linux")], false),
        (&[], &[("TERM", "vt100")], false),
        (&[], &[("NO_COLOR", "1")], false),
        (&["--theme", "light"], &[], false),
        (&[], &[("LC_ALL", "C")], true),
        (&["--ascii", "--mono"], &[], true),
    ];
    for (args, env, ascii) in setups {
        let place = Place::new();
        place.put("m\u{fc}nchen", "");
        let console = Console::with(place.0.path(), &Setup { args, env, ..Setup::default() });
        console.wait("nchen");
        let row = (0..24).find(|it| {
            console.look(|screen| screen.cell(*it, 3).is_some_and(vt100::Cell::inverse))
        });
        assert_eq!(row, Some(3), "{args:?} {env:?}");
        if ascii {
            assert!(console.bytes().is_ascii(), "{args:?} {env:?}");
        }
        let is_mono =
            env.iter().any(|it| it.0 == "NO_COLOR" || it.1 == "vt100") || args.contains(&"--mono");
        let has_colour = console.bytes().windows(5).any(|it| it == b"\x1b[38;");
        assert!(!(is_mono && has_colour), "{args:?} {env:?}");
    }
}

#[test]
fn small_screens_have_one_pane_and_tiny_ones_one_line() {
    let place = Place::new();
    let mut console = Console::start(place.0.path());
    console.press("", "berlin/");
    console.resize(60, 15);
    console.wait_gone("│");
    console.press("i", "/files/berlin/");
    console.press("i", "public/");
    console.resize(38, 9);
    console.wait("60x15 or larger helps; 38x9 now.");
    console.resize(200, 60);
    console.wait("│");
}

#[test]
fn without_a_terminal_that_can_draw_there_is_one_helpful_line() {
    let place = Place::new();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_sounding"))
        .env("SOUNDING_VOLUME", place.0.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("fly ssh console --pty") && output.stdout.is_empty());
    let setup = Setup { env: &[("TERM", "dumb")], ..Setup::default() };
    let mut console = Console::with(place.0.path(), &setup);
    assert_eq!(console.status(), 2);
    assert!(console.wait("TERM=dumb cannot draw").contains("sounding ls"));
    assert!(!console.bytes().contains(&0x1b));
}

#[test]
fn enter_pages_through_a_whole_file() {
    let place = Place::new();
    let text = (0..5000).map(|it| format!("row {it}")).collect::<Vec<_>>().join("\n");
    place.put("berlin/trips.csv", &text);
    let mut console = Console::start(place.0.path());
    console.press("", "berlin/");
    console.press("\r", "trips.csv");
    console.press("G", "1 column, 4,999 rows");
    console.press("\r", "row 17");
    console.press(" ", "row 18");
    console.press("k", "row 17");
    console.press("G", "row 4999");
    console.press("g", "row 0");
    console.press("\x1b", "it.10/");
    let picture = include_bytes!("../../../examples/volume/public/scorestats.png");
    std::fs::write(place.path("public/logo.png"), picture).unwrap();
    console.press("1h", "public/");
    console.press("j\r", "logo.png");
    console.press("G", "pixels");
    console.press("\r", "▀▀▀▀");
}
