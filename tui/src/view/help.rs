//! The help: the table of keys, and the commands that do the same.

use ratatui::layout::Rect;

use super::paint::Paint;
use crate::help::{Line, TOPICS, lines};
use crate::key::Twin;
use crate::model::{Help, Model};
use crate::text;

pub(super) fn draw(paint: &mut Paint<'_, '_>, area: Rect, help: &Help, model: &Model) {
    let lines = lines(help.filter.text(), model.place());
    for (y, line) in (area.y..area.y + area.height).zip(lines.iter().skip(help.top)) {
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
        paint.put(1, area.y, area.width - 1, "Nothing matches. Esc shows all.", paint.dim());
    }
}

/// The pages, and the digits that open them: as many of them as there is room for, each with its whole title.
pub(super) fn topics(room: usize) -> String {
    let topics = TOPICS.iter().enumerate().map(|(at, it)| format!("{} {}", at + 1, it.title));
    let mut line = String::new();
    for topic in topics {
        let space = if line.is_empty() { "" } else { "  " };
        if text::width(&line) + space.len() + text::width(&topic) > room {
            line.push_str(" ..");
            break;
        }
        line.push_str(space);
        line.push_str(&topic);
    }
    line
}
