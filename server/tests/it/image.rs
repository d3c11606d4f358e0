//! The image that the Dockerfile makes, built and run as a platform would run it, but for the programs in it, which are these tests' own.
//!
//! `.ci/setup.sh` installs buildah, podman and runc, and makes Debian's base image from its packages. Where they are not there, the
//! tests do nothing, and say so.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::support::{Connection, skipped, within_network, write};

const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Where the base image is, and what is made of it.
const STORE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/image");
const BASE: &str = "docker.io/library/debian:bookworm-slim";
/// Made here, unless `SOUNDING_TEST_IMAGE` names another that is in the store.
static IMAGE: LazyLock<String> = LazyLock::new(|| {
    std::env::var("SOUNDING_TEST_IMAGE").unwrap_or_else(|_| "localhost/sounding:test".to_owned())
});
/// What the packages and the programs may add to the base, with these unoptimised programs.
const MOST_BYTES: u64 = 160 << 20;
/// Nothing here takes longer, on however busy a machine.
const PATIENCE: Duration = Duration::from_mins(5);

/// Whether there is an image to test: made once for all tests.
static IS_BUILT: LazyLock<bool> = LazyLock::new(|| {
    if let Some(what) = missing() {
        skipped("the container's image", what);
        return false;
    }
    build();
    true
});

fn missing() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("root's rights");
    }
    let is_there = |program: &str| {
        ["/usr/bin", "/usr/sbin"].iter().any(|it| Path::new(it).join(program).exists())
    };
    if let Some(program) =
        ["buildah", "podman", "runc", "strip"].into_iter().find(|it| !is_there(it))
    {
        return Some(program);
    }
    (!Path::new(STORE).join("base.tar").exists()).then_some("a base image (.ci/setup.sh makes it)")
}

/// Held by each test as long as it uses the image.
struct InUse;

/// How many tests use it.
static USERS: Mutex<usize> = Mutex::new(0);

impl InUse {
    /// None where there is no image to test.
    fn begin() -> Option<InUse> {
        if !*IS_BUILT {
            return None;
        }
        *USERS.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Some(InUse)
    }
}

/// The last one leaves no mount behind: buildah keeps one for the store, and one for a stage that was only copied from.
impl Drop for InUse {
    fn drop(&mut self) {
        let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
        *users -= 1;
        if *users == 0 {
            output("buildah", &["rm", "--all"]);
            let store = format!("{STORE}/root/overlay");
            let unmounted = Command::new("umount").arg(store).output().unwrap();
            print!("{}", String::from_utf8_lossy(&unmounted.stderr));
        }
    }
}

/// Runs a program on the store; what it prints.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = output(program, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn output(program: &str, arguments: &[&str]) -> Output {
    let root = format!("{STORE}/root");
    let mut command = Command::new(program);
    command.args([
        "--root",
        &root,
        "--runroot",
        &format!("{STORE}/run"),
        "--storage-driver",
        "overlay",
    ]);
    if program == "podman" {
        // crun can't do with hybrid cgroups, and systemd need not be there.
        command.args(["--runtime", "runc", "--cgroup-manager", "cgroupfs"]);
    }
    command.args(arguments).output().unwrap()
}

fn build() {
    if std::env::var_os("SOUNDING_TEST_IMAGE").is_some() {
        return;
    }
    if !output("buildah", &["inspect", "--type", "image", BASE]).status.success() {
        let base = run("buildah", &["from", "scratch"]);
        run("buildah", &["add", &base, &format!("{STORE}/base.tar"), "/"]);
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        run("buildah", &["config", "--cmd", "bash", "--env", path, &base]);
        run("buildah", &["commit", "--format", "docker", &base, BASE]);
        run("buildah", &["rm", &base]);
    }
    let context = tempfile::tempdir().unwrap();
    let dist = context.path().join("dist");
    fs::create_dir(&dist).unwrap();
    for name in ["Dockerfile", ".dockerignore", "nginx.conf", "supervisord.conf", "deploy"] {
        copy(&Path::new(PROJECT).join(name), context.path());
    }
    let server = Path::new(env!("CARGO_BIN_EXE_sounding-server"));
    strip(server, &dist);
    // The console is another package's. Where the whole workspace is tested it lies beside the server.
    let console = server.with_file_name("sounding");
    if console.exists() {
        strip(&console, &dist);
    }
    run(
        "buildah",
        &[
            "bud",
            "--layers",
            "--isolation",
            "chroot",
            "--pull-never",
            "--build-arg",
            "BINARIES=prebuilt",
            "--tag",
            &IMAGE,
            context.path().to_str().unwrap(),
        ],
    );
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap().success());
}

fn strip(program: &Path, to: &Path) {
    let target = to.join(program.file_name().unwrap());
    let stripped = Command::new("strip").arg("-o").arg(&target).arg(program).status();
    assert!(stripped.unwrap().success());
}

/// A running container. Removed when dropped.
struct Container {
    id: String,
    began: Instant,
}

impl Container {
    fn start(volume: &Path, options: &[&str]) -> Container {
        let mount = format!("{}:/data", volume.display());
        let began = Instant::now();
        let arguments = [
            &["run", "--detach", "--network", "none", "--volume", &mount][..],
            // Fewer than podman asks for, which may be more than the tests' own user has.
            &["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"],
            options,
            &[&**IMAGE],
        ];
        Container { id: run("podman", &arguments.concat()), began }
    }

    /// Asks in the container's own network.
    fn ask<T: Send>(&self, what: impl FnOnce(&mut Connection) -> T + Send) -> T {
        let process = run("podman", &["inspect", "--format", "{{.State.Pid}}", &self.id]);
        within_network(process.parse().unwrap(), || {
            let until = Instant::now() + PATIENCE;
            loop {
                if let Some(mut connection) = Connection::try_to("127.0.0.1:8080") {
                    return what(&mut connection);
                }
                assert!(Instant::now() < until, "nobody listens: {}", self.log());
                std::thread::sleep(Duration::from_millis(5));
            }
        })
    }

    fn get(&self, target: &str, fields: &[(&str, &str)]) -> (u16, String) {
        self.ask(|connection| {
            connection.send("GET", target, fields);
            let response = connection.receive("GET");
            (response.status, response.text())
        })
    }

    fn log(&self) -> String {
        let output = output("podman", &["logs", &self.id]);
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// Waits for its end; its exit code.
    fn ended(&self) -> String {
        run("podman", &["wait", &self.id])
    }

    fn stop(&self) -> String {
        run("podman", &["stop", "--time", "40", &self.id]);
        self.ended()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the container's log:\n{}", self.log());
        }
        run("podman", &["rm", "--force", "--time", "0", &self.id]);
    }
}

#[test]
fn the_image_serves_and_keys_outlive_the_container() {
    let Some(_image) = InUse::begin() else { return };
    let volume = tempfile::tempdir().unwrap();
    write(&volume.path().join("run/a.txt"), b"hello");
    let first = Container::start(volume.path(), &[]);
    assert_eq!(first.get("/health", &[]).0, 200);
    println!("first answer {} ms after `podman run`", first.began.elapsed().as_millis());
    // The key that the first start made is on the volume and nowhere else.
    let file = volume.path().join(".sounding/auth-keys.csv");
    let keys = fs::read_to_string(&file).unwrap();
    let key = keys.lines().find_map(|it| it.strip_prefix("admin,")?.split(',').next()).unwrap();
    let authorization = [("Authorization", key)];
    assert_eq!(first.get("/files/run/a.txt", &authorization), (200, "hello".to_owned()));
    assert!(!first.log().contains(key), "the key is in the log");
    assert_eq!(first.stop(), "0");
    drop(first);
    let second = Container::start(volume.path(), &[]);
    assert_eq!(second.get("/files/run/a.txt", &authorization), (200, "hello".to_owned()));
    assert_eq!(fs::read_to_string(&file).unwrap(), keys);
}

#[test]
fn the_keys_of_the_python_server_go_on_whoever_owns_them() {
    let Some(_image) = InUse::begin() else { return };
    for place in ["auth-keys.csv", ".admin/auth-keys.csv"] {
        let volume = tempfile::tempdir().unwrap();
        write(&volume.path().join("run/a.txt"), b"hello");
        let old = volume.path().join(place);
        write(&old, b"kmt,kmt-old-secret\n");
        for path in [&old, old.parent().unwrap()] {
            let mode = if path.is_dir() { 0o700 } else { 0o600 };
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let container = Container::start(volume.path(), &[]);
        let answer = container.get("/files/run/a.txt", &[("Authorization", "kmt-old-secret")]);
        assert_eq!(answer, (200, "hello".to_owned()), "{place}: {}", container.log());
        assert_eq!(fs::read(&old).unwrap(), b"kmt,kmt-old-secret\n");
    }
}

#[test]
fn it_sleeps_when_nobody_needs_it_and_the_container_ends_with_0() {
    let Some(_image) = InUse::begin() else { return };
    let volume = tempfile::tempdir().unwrap();
    let container = Container::start(volume.path(), &["--env", "SOUNDING_IDLE_EXIT=3"]);
    assert_eq!(container.get("/health", &[]).0, 200);
    assert_eq!(container.ended(), "0", "{}", container.log());
    assert!(container.began.elapsed() >= Duration::from_secs(3));
    println!("asleep {:?} after `podman run`", container.began.elapsed());
}

#[test]
fn what_cannot_be_kept_up_ends_the_container_with_1() {
    let Some(_image) = InUse::begin() else { return };
    let volume = tempfile::tempdir().unwrap();
    let container = Container::start(volume.path(), &["--env", "SOUNDING_LOG=never"]);
    assert_eq!(container.ended(), "1", "{}", container.log());
}

#[test]
fn a_root_that_cannot_be_written_and_few_rights_suffice() {
    let Some(_image) = InUse::begin() else { return };
    let volume = tempfile::tempdir().unwrap();
    write(&volume.path().join(".sounding/auth-keys.csv"), b"kmt,kmt-secret,write\n");
    let options = [
        &["--read-only", "--tmpfs", "/run", "--tmpfs", "/tmp"][..],
        &["--cap-drop", "all", "--cap-add", "setuid,setgid,chown,dac_override,fowner,kill"],
    ];
    let container = Container::start(volume.path(), &options.concat());
    let status = container.ask(|connection| {
        connection.send_body(
            "PUT",
            "/files/run/a.txt",
            b"hello",
            &[("Authorization", "kmt-secret")],
        );
        connection.receive("PUT").status
    });
    assert_eq!(status, 201, "{}", container.log());
    assert_eq!(fs::read_to_string(volume.path().join("run/a.txt")).unwrap(), "hello");
    assert_eq!(container.stop(), "0");
}

#[test]
fn the_image_is_small_and_labelled() {
    let Some(_image) = InUse::begin() else { return };
    let size = |image: &str| {
        let size = run("podman", &["image", "inspect", "--format", "{{.Size}}", image]);
        size.parse::<u64>().unwrap()
    };
    let added = size(&IMAGE) - size(BASE);
    println!("{} MB above the base image", added / 1_000_000);
    assert!(added < MOST_BYTES, "{added} bytes above the base image");
    let labels = run("podman", &["image", "inspect", "--format", "{{json .Labels}}", &IMAGE]);
    for label in ["title", "description", "licenses"] {
        assert!(labels.contains(&format!("org.opencontainers.image.{label}")), "{labels}");
    }
}

/// What of a tree a Dockerfile that copies everything would get: looks at it.
fn with_copied<T>(tree: &Path, look: impl FnOnce(&Path) -> T) -> T {
    write(&tree.join("Dockerfile"), b"FROM scratch\nCOPY . /all/\n");
    let arguments = ["bud", "--isolation", "chroot", "--tag", "localhost/context:test"];
    run("buildah", &[&arguments[..], &[tree.to_str().unwrap()]].concat());
    let container = run("buildah", &["from", "localhost/context:test"]);
    let root = PathBuf::from(run("buildah", &["mount", &container])).join("all");
    let seen = look(&root);
    run("buildah", &["rm", &container]);
    run("buildah", &["rmi", "localhost/context:test"]);
    seen
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    paths.flat_map(|it| if it.is_dir() { walk(&it) } else { vec![it] }).collect()
}

#[test]
fn keys_and_data_do_not_go_into_the_making() {
    let Some(_image) = InUse::begin() else { return };
    let tree = tempfile::tempdir().unwrap();
    copy(&Path::new(PROJECT).join(".dockerignore"), tree.path());
    let wanted = [
        "Cargo.lock",
        "bench/load/src/main.rs",
        "deploy/entrypoint.py",
        "dist/sounding-server",
        "server/src/web/page/page.js",
    ];
    let unwanted = [
        ".env",
        ".git/config",
        "auth-keys.csv",
        "bench/streaming.py",
        "data/.sounding/auth-keys.csv",
        "data/run/trips.csv",
        "examples/volume/.sounding/auth-keys.csv",
        "fuzz/corpus/keys/x",
        "notes.txt",
        "server/.env.local",
        "server/auth-keys.csv",
        "server/data/.sounding/journal.sqlite",
        "server/tests/it/main.rs",
        "target/release/sounding-server",
    ];
    for path in wanted.iter().chain(&unwanted) {
        write(&tree.path().join(path), b"x");
    }
    let found = with_copied(tree.path(), |root| {
        let mut found: Vec<PathBuf> =
            walk(root).iter().map(|it| it.strip_prefix(root).unwrap().to_owned()).collect();
        found.sort();
        found
    });
    assert_eq!(found, wanted.map(PathBuf::from));
}

/// `docker build` compiles what `.dockerignore` lets through: all members of the workspace, and all that their sources have in them.
#[test]
fn what_goes_into_the_making_is_a_whole_workspace() {
    let Some(_image) = InUse::begin() else { return };
    let tree = tempfile::tempdir().unwrap();
    // Not what is built, nor anybody's data.
    for name in fs::read_dir(PROJECT).unwrap().map(|it| it.unwrap().file_name()) {
        if !["target", "data", "dist", ".git"].iter().any(|it| name == *it) {
            copy(&Path::new(PROJECT).join(name), tree.path());
        }
    }
    with_copied(tree.path(), |root| {
        let metadata = Command::new(env!("CARGO"))
            .args(["metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"])
            .current_dir(root)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&metadata.stderr);
        assert!(metadata.status.success(), "{said}");
        let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
        let packages = metadata["packages"].as_array().unwrap();
        assert!(packages.iter().any(|it| it["name"] == "sounding-server"));
        let targets = packages.iter().flat_map(|it| it["targets"].as_array().unwrap());
        for target in targets.filter(|it| it["kind"][0] != "test") {
            let source = Path::new(target["src_path"].as_str().unwrap());
            assert!(source.exists(), "{}", source.display());
        }
        // Of the programs, what is in their sources.
        let sources = ["server", "tui", "transfers", "volume", "wormhole", "zipstream"];
        let sources = sources.iter().flat_map(|it| walk(&root.join(it).join("src")));
        let mut included = 0;
        for source in sources.filter(|it| it.extension().is_some_and(|it| it == "rs")) {
            let text = fs::read_to_string(&source).unwrap();
            // The unit tests have more in them.
            let text = text.split("#[cfg(test)]").next().unwrap();
            for call in text.split("include_").skip(1) {
                let names = ["str!(\"", "bytes!(\""];
                let Some(name) = names.iter().find_map(|it| call.strip_prefix(it)) else {
                    continue;
                };
                let path = source.with_file_name(name.split('"').next().unwrap());
                assert!(path.exists(), "{} wants {}", source.display(), path.display());
                included += 1;
            }
        }
        assert!(included > 3, "{included} files are included");
    });
}
