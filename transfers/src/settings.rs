//! Chooses the servers for transfers: those of the request first, then flags and variables, then the file on the volume, then the public
//! ones.

use volume::Volume;
use wormhole::{RelayHint, Settings};

use crate::transfer::Servers;

/// Why the settings can't be used, in plain words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSettings {
    /// A line of the file is invalid.
    #[error(".sounding/wormhole.conf, line {line}: {what}")]
    Line {
        /// The line's number, from 1.
        line: usize,
        /// The reason.
        what: String,
    },
    /// The file can't be read.
    #[error("could not read .sounding/wormhole.conf: {0}")]
    File(String),
    /// A flag or a variable is invalid.
    #[error("{0}")]
    Flag(String),
}

/// The settings of one transfer: the file on the volume overrides `base`, the program's servers override the file, and the request's
/// servers override all.
pub(crate) fn settings(
    volume: &Volume,
    base: &Settings,
    told: &Servers,
    wanted: &Servers,
) -> Result<Settings, BadSettings> {
    let text = volume.wormhole_settings().map_err(|it| BadSettings::File(it.to_string()))?;
    let on_volume = parse(text.as_deref().unwrap_or_default())?;
    let mut settings = base.clone();
    for servers in [&on_volume, told, wanted] {
        if let Some(mailbox) = &servers.mailbox {
            settings.mailbox = mailbox_url(mailbox).map_err(BadSettings::Flag)?;
        }
        if !servers.relays.is_empty() {
            let relays = servers.relays.iter().map(|it| relay(it));
            settings.relays = relays.collect::<Result<_, _>>().map_err(BadSettings::Flag)?;
        }
    }
    Ok(settings)
}

/// Checks a mailbox server's URL.
pub fn mailbox_url(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.starts_with("ws://") || text.starts_with("wss://") {
        return Ok(text.to_owned());
    }
    Err(format!("invalid mailbox server `{text}`: it looks like ws://relay.example.org:4000/v1"))
}

/// Parses a transit relay's address.
pub fn relay(text: &str) -> Result<RelayHint, String> {
    let text = text.trim();
    text.parse().map_err(|_bad| {
        format!("invalid transit relay `{text}`: it looks like tcp:relay.example.org:4001")
    })
}

/// Parses lines of `name = value`; `#` begins a comment.
fn parse(text: &str) -> Result<Servers, BadSettings> {
    let mut servers = Servers::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = |what: String| BadSettings::Line { line: number + 1, what };
        let Some((name, value)) = line.split_once('=') else {
            return Err(bad(format!(
                "invalid line `{line}`: it looks like `relay = tcp:HOST:PORT`"
            )));
        };
        match name.trim() {
            "mailbox" => servers.mailbox = Some(mailbox_url(value).map_err(bad)?),
            "relay" => servers.relays.push(relay(value).map_err(bad)?.to_string()),
            name => {
                return Err(bad(format!("`{name}` is not known here; `mailbox` and `relay` are")));
            }
        }
    }
    Ok(servers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_a_few_lines() {
        let text = "# ours\n\nmailbox = ws://a.example:4000/v1\nrelay=tcp:a.example:4001\nrelay = tcp:b.example:4001\n";
        let servers = parse(text).unwrap();
        assert_eq!(servers.mailbox.as_deref(), Some("ws://a.example:4000/v1"));
        assert_eq!(servers.relays, ["tcp:a.example:4001", "tcp:b.example:4001"]);
        assert_eq!(parse("").unwrap(), Servers::default());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse(text).unwrap_err().to_string(), expected);
        };
        check(
            "# x\nmailbox = http://a",
            ".sounding/wormhole.conf, line 2: invalid mailbox server `http://a`: it looks like ws://relay.example.org:4000/v1",
        );
        check(
            "relay = b:4001",
            ".sounding/wormhole.conf, line 1: invalid transit relay `b:4001`: it looks like tcp:relay.example.org:4001",
        );
        check(
            "relais = x",
            ".sounding/wormhole.conf, line 1: `relais` is not known here; `mailbox` and `relay` are",
        );
        check(
            "x",
            ".sounding/wormhole.conf, line 1: invalid line `x`: it looks like `relay = tcp:HOST:PORT`",
        );
    }
}
