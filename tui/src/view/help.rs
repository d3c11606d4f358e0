//! The help: the table of keys, and the commands that do the same.

use ratatui::layout::Rect;

use super::paint::Paint;
use crate::help::TOPICS;
use crate::key::{BINDINGS, Binding, Place, Twin};
use crate::model::{Input, Model};

/// A line of it: a heading, or keys and what they do.
enum Line {
    Heading(&'static str),
    Keys(&'static Binding),
    Text(&'static str),
}

pub(super) fn draw(
    paint: &mut Paint<'_, '_>,
    area: Rect,
    input: &Input,
    top: usize,
    model: &Model,
) {
    let lines = lines(&input.text().to_lowercase(), model.place());
    let top = top.min(lines.len().saturating_sub(usize::from(area.height)));
    for (y, line) in (area.y..area.y + area.height).zip(lines.iter().skip(top)) {
        match line {
            Line::Heading(text) => paint.put(1, y, area.width - 1, text, paint.bold()),
            Line::Text(text) => paint.put(1, y, area.width - 1, text, paint.plain()),
            Line::Keys(binding) => {
                paint.put(3, y, 18, &binding.keys.join(" "), paint.bold());
                let twin = match binding.twin {
                    Twin::Command(command) if model.has_room_beside() => {
                        format!("sounding {command}")
                    }
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

fn lines(wanted: &str, here: Place) -> Vec<Line> {
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

/// The pages, and the digits that open them.
pub(super) fn topics() -> String {
    let topics = TOPICS.iter().enumerate().map(|(at, it)| format!("{} {}", at + 1, it.title));
    format!("Topics: {}", topics.collect::<Vec<_>>().join("  "))
}
