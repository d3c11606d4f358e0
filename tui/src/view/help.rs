//! The help: the table of keys, and the commands that do the same.

use ratatui::layout::Rect;

use super::paint::Paint;
use crate::key::{BINDINGS, Binding, Place, Twin};
use crate::model::Input;

/// A line of it: a heading, or keys and what they do.
enum Line {
    Heading(&'static str),
    Keys(&'static Binding),
    Text(&'static str),
}

const TOPICS: &[&str] = &[
    "If the line drops, nothing on the volume is harmed. Is your own screen odd then? Type: reset",
    "Times are UTC. A kilobyte is a thousand bytes. A name's odd letters are shown as escapes: \\n, \\x1b, \\xE9.",
    "Deleted things lie in the trash for 30 days: u undoes, t shows them, X empties it.",
    "Keys work from the next request on. The old Python server must be restarted to learn of a change.",
    "For good colours on a light background: sounding --theme light; without any: --mono or NO_COLOR=1.",
    "Without a screen: sounding --help. Commands also work here behind a colon.",
];

pub(super) fn draw(
    paint: &mut Paint<'_, '_>,
    area: Rect,
    input: &Input,
    top: usize,
    has_room: bool,
) {
    let lines = lines(&input.text().to_lowercase());
    let top = top.min(lines.len().saturating_sub(usize::from(area.height)));
    for (y, line) in (area.y..area.y + area.height).zip(lines.iter().skip(top)) {
        match line {
            Line::Heading(text) => paint.put(1, y, area.width - 1, text, paint.bold()),
            Line::Text(text) => paint.put(1, y, area.width - 1, text, paint.plain()),
            Line::Keys(binding) => {
                paint.put(3, y, 18, &binding.keys.join(" "), paint.bold());
                let twin = match binding.twin {
                    Twin::Command(command) if has_room => format!("sounding {command}"),
                    _ => String::new(),
                };
                let room = area.width.saturating_sub(24 + u16::try_from(twin.len()).unwrap_or(0));
                paint.put(22, y, room, binding.help, paint.plain());
                let style = paint.dim();
                paint.right(y, area.width - 1, &twin, style);
            }
        }
    }
    if lines.is_empty() {
        paint.put(
            1,
            area.y,
            area.width - 1,
            "Nothing matches. Backspace takes letters back, Esc closes.",
            paint.dim(),
        );
    }
}

fn lines(wanted: &str) -> Vec<Line> {
    let places = [
        (Place::Move, "Move"),
        (Place::Everywhere, "Everywhere"),
        (Place::Browse, "Files (1)"),
        (Place::Keys, "Keys (4)"),
        (Place::Activity, "Activity (5)"),
    ];
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
    let topics = TOPICS.iter().filter(|it| it.to_lowercase().contains(wanted));
    let topics: Vec<Line> = topics.map(|it| Line::Text(it)).collect();
    if !topics.is_empty() {
        lines.push(Line::Heading("To know"));
        lines.extend(topics);
    }
    lines
}
