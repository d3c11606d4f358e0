//! The table of keys, and what to know beyond them: a page each.

use crate::key::{BINDINGS, Binding, Place, Twin};

/// A line of it: a heading, or keys and what they do.
#[derive(Debug)]
pub enum Line {
    /// Over what follows.
    Heading(&'static str),
    /// Keys and what they do.
    Keys(&'static Binding),
    /// Of a page.
    Text(&'static str),
}

/// A page of the help.
#[derive(Debug)]
pub struct Topic {
    /// What it is about.
    pub title: &'static str,
    /// What there is to know.
    pub lines: &'static [&'static str],
}

/// All pages. The digit that opens each is its place, from 1 on.
pub const TOPICS: &[Topic] = &[
    Topic {
        title: "wormhole",
        lines: &[
            "Who has the files runs `wormhole send FOLDER` and reads you the code it prints. 2, the code, Enter.",
            "Or the sender uses your code: Enter without one makes it here, and shows the line to pass on.",
            "You see what is offered before anything comes: how large, where to, what is there already.",
            "A folder appears when it is whole and checked, by one rename; before that nobody sees any of it.",
            "",
            "A code works once: after a mistyped one the sender has to send again. A word that is in no list is asked about.",
            "Wormhole cannot go on where it broke off: what had come is removed, and it begins anew.",
            "",
            "The server runs transfers: quit, lose the line, come back, and 3 shows how far they are.",
            "Where no server answers, this console runs them, and they end with it.",
            "",
            "w in Files (1) sends what is selected; the other side gets it by `wormhole receive CODE`.",
            "Other servers than the public ones: --mailbox, --relay, or .sounding/wormhole.conf.",
        ],
    },
    Topic {
        title: "keys",
        lines: &[
            "A key is a user's name, a dash and 32 random letters. It counts from the next request on.",
            "",
            "read   may list and fetch; write may upload, replace and delete too",
            "path   covers that folder and all below it; what lies in `public` needs no key",
            "ends   good to the end of that day, UTC",
            "",
            "a makes one: it is shown this one time.",
            "o makes a new one for an old one, which goes on being good for a while.",
            "p switches one off and on. d revokes one; u takes that back, as long as this console runs.",
            "w fixes what is wrong: a header line, spaces around a key, a key twice.",
            "z keeps the key's hash only: the old Python server does not know it then.",
            "",
            "The old Python server reads the file at its start: restart it to learn of a change.",
        ],
    },
    Topic {
        title: "the trash",
        lines: &[
            "d moves into the trash on the same disk, at once and however large. No room is freed by it.",
            "u takes back the last change.",
            "t shows what is there: Enter restores one item, X deletes it for good.",
            "X in the list empties all of it; a word must be typed for that.",
            "",
            "What has been there for 30 days goes by itself; where the disk is nearly full, earlier.",
        ],
    },
    Topic {
        title: "my terminal",
        lines: &[
            "If the line drops, nothing on the volume is harmed. Is your own screen odd then? Type: reset",
            "",
            ":theme light    for a light background; :theme mono has no colours. NO_COLOR=1 does the same.",
            ":ascii on       where lines and marks come out as question marks",
            ":mouse on       the wheel moves; then only Shift marks text, as a rule",
            "These are kept on the volume, since ssh brings no variable of your own computer along.",
            "",
            "y in front of a key or an address sends it to your terminal's clipboard (OSC 52).",
            "Where the terminal takes none, mark the line: it stands alone for that.",
            "^L draws all of the screen again.",
            "Odd letters of names are shown as \\n, \\x1b, \\xE9, \\u{202e}, and can be typed so.",
        ],
    },
    Topic {
        title: "staying awake",
        lines: &[
            "A machine that sleeps when nobody needs it wakes at the next request over HTTP, not for ssh.",
            "Activity (5) says why it is awake, and when it will sleep.",
            "",
            "downloads, uploads   as long as they last",
            "wormhole transfers   as long as the server runs them; two hours for who has not come yet",
            "a console            half an hour after a key",
            "ssh                  two hours after something was typed or printed",
            "open web pages, health checks and strangers keep nothing awake",
            "",
            "w there keeps it awake for two hours more; w again takes that back. :awake 90m, :awake off",
            "Half a day is the most, and a restart does not end it.",
            "",
            "A copy that runs in this console ends with it, so leave the console open, and w it awake.",
            "Uploads over HTTP go on where they broke off.",
        ],
    },
    Topic {
        title: "sizes",
        lines: &[
            "Times are UTC. A kilobyte is a thousand bytes.",
            "A preview reads some 64 KB of a file, or where its format keeps the directory.",
            "Numbers after `about` are estimates. Enter goes through all of it, x byte by byte.",
            "U adds up what lies on the disk: a sparse file takes less there than it is long.",
        ],
    },
];

/// What there is to read where keys act so: all of it, or what has this in it.
pub fn lines(wanted: &str, here: Place) -> Vec<Line> {
    let wanted = wanted.to_lowercase();
    let wanted = wanted.as_str();
    let mut places = [
        (Place::Move, "Move"),
        (Place::Browse, "Files (1)"),
        (Place::Receive, "Receive (2)"),
        (Place::Waiting, "Receive (2), waiting"),
        (Place::Offer, "Receive (2), an offer"),
        (Place::Transfers, "Transfers (3)"),
        (Place::Keys, "Keys (4)"),
        (Place::Activity, "Activity (5)"),
        (Place::Everywhere, "Everywhere"),
    ];
    // What works where the question was asked comes first.
    places.sort_by_key(|it| (it.0 != Place::Move, it.0 != here, it.0 != Place::Everywhere));
    let mut lines = Vec::new();
    for (place, heading) in places {
        let matches = |it: &&Binding| {
            let twin = if let Twin::Command(command) = it.twin { command } else { "" };
            let text = format!("{} {} {heading} {twin}", it.keys.join(" "), it.help).to_lowercase();
            it.place == place && text.contains(wanted)
        };
        let found: Vec<Line> = BINDINGS.iter().filter(matches).map(Line::Keys).collect();
        if !found.is_empty() {
            lines.push(Line::Heading(heading));
            lines.extend(found);
        }
    }
    // Whoever looks for something finds it in the pages too.
    for topic in TOPICS.iter().filter(|_| !wanted.is_empty()) {
        let found = topic.lines.iter().filter(|it| it.to_lowercase().contains(wanted));
        let found: Vec<Line> = found.map(|it| Line::Text(it)).collect();
        if !found.is_empty() {
            lines.push(Line::Heading(topic.title));
            lines.extend(found);
        }
    }
    lines
}
