//! Colours, marks and the putting of text into cells.
//!
//! Sixteen named colours, so that they are the terminal's own; no backgrounds. What is chosen is reversed, and no
//! meaning is told by colour alone.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::widgets::Clear;
use unicode_segmentation::UnicodeSegmentation;

use crate::cli::ThemeName;
use crate::model::Look;
use crate::text;

/// What is drawn with.
pub(super) struct Paint<'a, 'f> {
    look: Look,
    frame: &'a mut Frame<'f>,
}

impl<'a, 'f> Paint<'a, 'f> {
    pub(super) fn new(look: Look, frame: &'a mut Frame<'f>) -> Paint<'a, 'f> {
        Paint { look, frame }
    }

    #[expect(clippy::unused_self, reason = "all styles are had in one way")]
    pub(super) fn plain(&self) -> Style {
        Style::default()
    }

    #[expect(clippy::unused_self, reason = "all styles are had in one way")]
    pub(super) fn bold(&self) -> Style {
        Style::default().add_modifier(Modifier::BOLD)
    }

    /// What is less important.
    pub(super) fn dim(&self) -> Style {
        self.coloured(Color::DarkGray, Color::DarkGray, Modifier::empty())
    }

    pub(super) fn folder(&self) -> Style {
        self.coloured(Color::LightBlue, Color::Blue, Modifier::BOLD)
    }

    pub(super) fn good(&self) -> Style {
        self.coloured(Color::Green, Color::Green, Modifier::empty())
    }

    pub(super) fn error(&self) -> Style {
        self.coloured(Color::LightRed, Color::Red, Modifier::BOLD)
    }

    /// What the cursor is on.
    #[expect(clippy::unused_self, reason = "all styles are had in one way")]
    pub(super) fn chosen(&self) -> Style {
        Style::default().add_modifier(Modifier::REVERSED)
    }

    fn coloured(&self, dark: Color, light: Color, mono: Modifier) -> Style {
        match self.look.theme {
            ThemeName::Dark => Style::default().fg(dark),
            ThemeName::Light => Style::default().fg(light),
            ThemeName::Mono => Style::default().add_modifier(mono),
        }
    }

    /// What marks the cursor's row.
    pub(super) fn cursor_mark(&self) -> &'static str {
        if self.look.ascii { ">" } else { "▸" }
    }

    /// What marks a selected row.
    pub(super) fn selected_mark(&self) -> &'static str {
        if self.look.ascii { "*" } else { "●" }
    }

    /// Text, cut to a width. Where only ASCII can be shown, other letters are `?`.
    pub(super) fn put(&mut self, x: u16, y: u16, room: u16, what: &str, style: Style) {
        let area = self.frame.area();
        if y >= area.height || x >= area.width {
            return;
        }
        let room = usize::from(room.min(area.width - x));
        let shown = text::cut(what, room);
        let shown = if self.look.ascii { to_ascii(&shown) } else { shown };
        self.frame.buffer_mut().set_string(x, y, shown, style);
    }

    /// A name or a path, shortened in its middle to a width.
    pub(super) fn name(&mut self, x: u16, y: u16, room: u16, name: &str, style: Style) {
        self.put(x, y, room, &text::shortened(name, room.into()), style);
    }

    /// Text that ends at a column.
    pub(super) fn right(&mut self, y: u16, end: u16, what: &str, style: Style) {
        let wide = u16::try_from(text::width(what)).unwrap_or(u16::MAX);
        self.put(end.saturating_sub(wide), y, wide, what, style);
    }

    /// A line across.
    pub(super) fn rule(&mut self, y: u16, x: u16, width: u16) {
        let line = if self.look.ascii { "-" } else { "─" };
        let style = self.dim();
        self.put(x, y, width, &line.repeat(width.into()), style);
    }

    /// A line down.
    pub(super) fn divide(&mut self, x: u16, y: u16, height: u16) {
        let (line, style) = (if self.look.ascii { "|" } else { "│" }, self.dim());
        for row in y..y + height {
            self.put(x, row, 1, line, style);
        }
    }

    /// The cursor of a list: a mark in the row's second column, and all of the row reversed.
    pub(super) fn cursor_row(&mut self, row: Rect) {
        let style = self.bold();
        self.put(row.x + 1, row.y, 1, self.cursor_mark(), style);
        self.choose(row.x, row.y, row.width);
    }

    /// What is chosen, in its style.
    pub(super) fn choose(&mut self, x: u16, y: u16, width: u16) {
        let (area, style) = (Rect { x, y, width, height: 1 }, self.chosen());
        self.frame.buffer_mut().set_style(area, style);
    }

    /// An empty box with a title in its border.
    pub(super) fn boxed(&mut self, area: Rect, title: &str) {
        // What lies under it shines through otherwise: text is put over a cell's own style.
        self.frame.render_widget(Clear, area);
        let [corner_a, corner_b, corner_c, corner_d, across, down] = if self.look.ascii {
            ["+", "+", "+", "+", "-", "|"]
        } else {
            ["┌", "┐", "└", "┘", "─", "│"]
        };
        let inner = usize::from(area.width.saturating_sub(2));
        let title = text::cut(&format!("{across} {title} "), inner);
        let rest = across.repeat(inner.saturating_sub(text::width(&title)));
        self.put(
            area.x,
            area.y,
            area.width,
            &format!("{corner_a}{title}{rest}{corner_b}"),
            self.bold(),
        );
        for y in area.y + 1..(area.y + area.height).saturating_sub(1) {
            let line = format!("{down}{}{down}", " ".repeat(inner));
            self.put(area.x, y, area.width, &line, self.plain());
        }
        let bottom = format!("{corner_c}{}{corner_d}", across.repeat(inner));
        self.put(
            area.x,
            (area.y + area.height).saturating_sub(1),
            area.width,
            &bottom,
            self.bold(),
        );
    }

    /// A bar that is filled to a part.
    pub(super) fn bar(&self, width: u16, part: f64) -> String {
        let (full, empty) = if self.look.ascii { ("#", ".") } else { ("█", "░") };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most the width"
        )]
        let filled = (f64::from(width) * part.clamp(0.0, 1.0)).round() as usize;
        format!("{}{}", full.repeat(filled), empty.repeat(usize::from(width) - filled))
    }

    /// A bar of which a part is filled, and another part is about to be.
    pub(super) fn bar_of_two(&self, width: u16, first: f64, second: f64) -> String {
        let both = self.bar(width, first + second);
        let full = self.bar(width, first);
        let (mark, soon) = if self.look.ascii { ('#', '=') } else { ('█', '▒') };
        let marks = both.chars().zip(full.chars());
        marks.map(|(both, full)| if both == mark && full != mark { soon } else { full }).collect()
    }

    /// Small columns, one a value.
    pub(super) fn columns(&self, values: &[u64]) -> String {
        let marks: &[char] = if self.look.ascii {
            &[' ', '.', ':', '-', '=', '+', '*', '#']
        } else {
            &[' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
        };
        let largest = values.iter().copied().max().unwrap_or(0).max(1);
        let steps = marks.len() as u64 - 1;
        let mark = |value: u64| {
            let step = value.saturating_mul(steps).div_ceil(largest);
            marks.get(usize::try_from(step).unwrap_or(0)).copied().unwrap_or(' ')
        };
        values.iter().map(|it| mark(*it)).collect()
    }

    /// A picture, two of its rows in one: in colours, or in letters of more or less ink.
    pub(super) fn picture(&mut self, area: Rect, rows: &[Vec<[[u8; 3]; 2]>]) {
        const INK: [&str; 8] = [" ", ".", ":", "-", "=", "+", "*", "#"];
        let in_colour = !self.look.ascii && self.look.theme != ThemeName::Mono;
        let light = |it: [u8; 3]| it.iter().map(|it| usize::from(*it)).sum::<usize>() / 3;
        // A letter is ink on a light background, and light on a dark one.
        let is_ink = self.look.theme == ThemeName::Light;
        for (y, row) in (area.y..area.y + area.height).zip(rows) {
            for (x, [upper, lower]) in (area.x..area.x + area.width).zip(row) {
                if in_colour {
                    let [upper, lower] = [upper, lower].map(|it| Color::Indexed(of_256(*it)));
                    self.put(x, y, 1, "▀", Style::default().fg(upper).bg(lower));
                } else {
                    let light = usize::midpoint(light(*upper), light(*lower)) / 32;
                    let ink = if is_ink { INK.len() - 1 - light.min(INK.len() - 1) } else { light };
                    self.put(x, y, 1, INK.get(ink).copied().unwrap_or(" "), Style::default());
                }
            }
        }
    }

    /// Where the next letter goes.
    pub(super) fn cursor(&mut self, x: u16, y: u16) {
        self.frame.set_cursor_position((x, y));
    }
}

/// The nearest colour of the cube of six steps that terminals of 256 colours have.
fn of_256(colour: [u8; 3]) -> u8 {
    let [red, green, blue] =
        colour.map(|it| u8::try_from((u16::from(it) * 5 + 127) / 255).unwrap_or(5));
    16 + 36 * red + 6 * green + blue
}

/// Each letter that is not ASCII as one `?` a column, so that columns stay where they are.
fn to_ascii(shown: &str) -> String {
    shown
        .graphemes(true)
        .map(|it| if it.is_ascii() { it.to_owned() } else { "?".repeat(text::width(it)) })
        .collect()
}
