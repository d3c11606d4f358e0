//! Names, sizes and times as people read them. Pure.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::Offset;

/// The name that [`escape`] shows so; none where an escape can't be read.
pub fn unescape(shown: &str) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(shown.len());
    let mut rest = shown.chars();
    while let Some(it) = rest.next() {
        if it != '\\' {
            name.extend_from_slice(it.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        match rest.next()? {
            '\\' => name.push(b'\\'),
            'n' => name.push(b'\n'),
            'r' => name.push(b'\r'),
            't' => name.push(b'\t'),
            'x' => {
                let digits: String = rest.by_ref().take(2).collect();
                name.push(u8::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 2)?);
            }
            'u' => {
                let digits = rest.as_str().strip_prefix('{')?.split_once('}')?.0;
                let it = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
                name.extend_from_slice(it.encode_utf8(&mut [0; 4]).as_bytes());
                rest = rest.as_str().get(digits.len() + 2..)?.chars();
            }
            _ => return None,
        }
    }
    Some(name)
}

/// A URL's path as it is shown: decoded where that is a path, and as it is otherwise.
pub fn path(url: &str) -> String {
    let plain = url.strip_prefix('/').unwrap_or(url);
    let inner = plain.strip_suffix('/').unwrap_or(plain);
    match volume::RelPath::from_url(inner) {
        Ok(path) => {
            let slash = if plain.len() > inner.len() && !inner.is_empty() { "/" } else { "" };
            format!("{path}{slash}")
        }
        Err(_) => escape(url.as_bytes()),
    }
}

/// Columns that a text takes on a screen.
pub fn width(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

/// A text cut to a width; what was cut is told by `~` at its end.
pub fn cut(text: &str, room: usize) -> String {
    use unicode_segmentation::UnicodeSegmentation;
    if width(text) <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        let wide = width(grapheme);
        if used + wide + 1 > room {
            break;
        }
        used += wide;
        kept.push_str(grapheme);
    }
    if room > 0 {
        kept.push('~');
    }
    kept
}

/// A name or a path shortened to a width in its middle: what tells names of one kind apart, and their type, is at their end. Of a path
/// the last name is kept whole where there is room for it.
pub fn shortened(name: &str, room: usize) -> String {
    use unicode_segmentation::UnicodeSegmentation;
    if width(name) <= room {
        return name.to_owned();
    }
    let whole = name.strip_suffix('/').unwrap_or(name);
    let last = whole.rfind('/').and_then(|it| name.get(it..)).map_or(0, width);
    let wanted = if last < room { last.max(room / 2) } else { room / 2 };
    let (mut from, mut used) = (name.len(), 0);
    for (at, grapheme) in name.grapheme_indices(true).rev() {
        used += width(grapheme);
        if used > wanted {
            break;
        }
        from = at;
    }
    let end = name.get(from..).unwrap_or_default();
    // What is cut off at the end of the beginning is marked by the same `~`.
    let begin = cut(name, room.saturating_sub(width(end)));
    format!("{begin}{end}")
}

/// What is left of a text from a column on.
pub fn skip(text: &str, columns: usize) -> String {
    let mut left = columns;
    let is_before = |it: &char| {
        let is_before = left > 0;
        left = left.saturating_sub(width(it.encode_utf8(&mut [0; 4])));
        is_before
    };
    text.chars().skip_while(is_before).collect()
}

/// A text in lines of a width, parted at spaces where that is possible.
pub fn wrapped(text: &str, room: usize) -> Vec<String> {
    use unicode_segmentation::UnicodeSegmentation;
    let (mut lines, mut line) = (Vec::new(), String::new());
    for (number, word) in text.split(' ').enumerate() {
        if number > 0 {
            if width(&line) + 1 + width(word) > room && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            } else if !line.is_empty() || word.is_empty() {
                line.push(' ');
            }
        }
        for grapheme in word.graphemes(true) {
            // What is wider than a line as one is parted too.
            let step = if width(grapheme) > room { 1 } else { usize::MAX };
            let letters: Vec<char> = grapheme.chars().collect();
            for part in letters.chunks(step) {
                // Some letters are wider beside each other than alone.
                let before = line.len();
                line.extend(part);
                if width(&line) > room && before > 0 {
                    let next = line.split_off(before);
                    lines.push(std::mem::replace(&mut line, next));
                }
            }
        }
    }
    lines.push(line);
    lines
}

pub use volume::{printable as escape, size_text as bytes};

/// A count with its thousands apart: `61,204`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut apart = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart
}

/// A number of things, in the singular where it is one.
pub fn things(many: u64, one: &str, more: &str) -> String {
    if many == 1 { format!("1 {one}") } else { format!("{} {more}", count(many)) }
}

/// A day as in `2 Nov`, with its year where that is another one.
pub fn day(when: Timestamp, now: Timestamp) -> String {
    let [when, now] = [when, now].map(|it| Offset::UTC.to_datetime(it));
    let format = if when.year() == now.year() { "%-d %b" } else { "%-d %b %Y" };
    when.strftime(format).to_string()
}

/// A day in at most eight columns: `2 Nov`, or `Nov 2024` where that was in another year.
pub fn short_day(when: Timestamp, now: Timestamp) -> String {
    let [when, now] = [when, now].map(|it| Offset::UTC.to_datetime(it));
    let format = if when.year() == now.year() { "%-d %b" } else { "%b %Y" };
    when.strftime(format).to_string()
}

/// A day and a time of it, as in `2 Nov 09:14`.
pub fn moment(when: Timestamp, now: Timestamp) -> String {
    format!("{} {}", day(when, now), clock(when))
}

/// A time of day as in `09:14`, in UTC.
pub fn clock(when: Timestamp) -> String {
    when.strftime("%H:%M").to_string()
}

/// How long ago something was: `2 min ago`, `yesterday`, `9 Aug`.
pub fn ago(when: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(when).as_secs();
    match seconds {
        ..60 => "just now".to_owned(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        86_400..172_800 => "yesterday".to_owned(),
        _ => day(when, now),
    }
}

/// How long something takes: `42 s`, `8 min`, `1 h 14 min`, `3 days`.
pub fn duration(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => match (seconds / 3600, seconds % 3600 / 60) {
            (hours, 0) => format!("{hours} h"),
            (hours, minutes) => format!("{hours} h {minutes} min"),
        },
        _ => things(seconds / 86_400, "day", "days"),
    }
}

/// `1st`, `2nd`, `11th`.
pub fn ordinal(number: usize) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// Nanoseconds since 1970, as a file's times are given, in whole milliseconds.
pub fn timestamp(nanoseconds: i128) -> Timestamp {
    let milliseconds = i64::try_from(nanoseconds.div_euclid(1_000_000)).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_have_their_thousands_apart() {
        assert_eq!(count(61_204), "61,204");
        assert_eq!(count(999), "999");
        assert_eq!(things(1, "file", "files"), "1 file");
    }

    #[test]
    fn numbers_in_an_order_have_their_endings() {
        let told = [1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(ordinal);
        let wanted = ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"];
        assert_eq!(told, wanted);
    }

    #[test]
    fn times_are_told_as_people_tell_them() {
        let now = "2026-11-24T14:02:00Z".parse().unwrap();
        let check = |when: &str, text: &str| assert_eq!(ago(when.parse().unwrap(), now), text);
        check("2026-11-24T14:01:30Z", "just now");
        check("2026-11-24T14:00:00Z", "2 min ago");
        check("2026-11-24T10:00:00Z", "4 h ago");
        check("2026-11-23T10:00:00Z", "yesterday");
        check("2026-08-09T10:00:00Z", "9 Aug");
        check("2024-08-09T10:00:00Z", "9 Aug 2024");
        check("2026-11-25T00:00:00Z", "just now");
        assert_eq!(duration(Duration::from_mins(74)), "1 h 14 min");
        assert_eq!(duration(Duration::from_hours(1)), "1 h");
    }

    #[test]
    fn a_cut_text_has_room() {
        assert_eq!(cut("trips.csv", 9), "trips.csv");
        assert_eq!(cut("trips.csv", 5), "trip~");
        assert_eq!(cut("東京都", 4), "東~");
        assert_eq!(cut("abc", 0), "");
    }

    #[test]
    fn a_long_name_keeps_its_ending_and_a_long_path_its_last_name() {
        let check = |name: &str, room: usize, shown: &str| {
            assert_eq!(shortened(name, room), shown, "{name} in {room}");
        };
        check("trips.csv", 9, "trips.csv");
        check("output_trips_2030.csv.gz", 16, "output_~0.csv.gz");
        check("/berlin-v6.4/output-1pct/ITERS/", 16, "/berlin~t/ITERS/");
        check("/berlin/v6.4/output_trips.csv.gz", 24, "/be~/output_trips.csv.gz");
        check("/berlin/output_trips.csv.gz", 12, "/berl~csv.gz");
        check("\u{6771}\u{4eac}\u{90fd}\u{5e02}.csv", 9, "\u{6771}\u{4eac}~.csv");
        check("abc", 0, "");
    }

    #[test]
    fn a_long_text_is_parted_at_spaces_and_nothing_of_it_is_lost() {
        let check =
            |text: &str, room: usize, lines: &[&str]| assert_eq!(wrapped(text, room), lines);
        check("24 columns, about 31 M rows", 16, &["24 columns,", "about 31 M rows"]);
        check("imove  imove-..x9Qd", 30, &["imove  imove-..x9Qd"]);
        check("https://x.fly.dev/a", 8, &["https://", "x.fly.de", "v/a"]);
        check("\u{6771}\u{4eac}\u{90fd}", 5, &["\u{6771}\u{4eac}", "\u{90fd}"]);
        check("", 5, &[""]);
    }

    proptest! {
        #[test]
        fn a_wrapped_text_fits(text in "\\PC{0,40}", room in 2_usize..12) {
            for line in wrapped(&text, room) {
                prop_assert!(width(&line) <= room, "{:?}", line);
            }
        }

        #[test]
        fn an_escaped_name_can_be_read_back_and_harms_no_screen(
            name in prop::collection::vec(any::<u8>(), 0..40)
        ) {
            let shown = escape(&name);
            prop_assert!(!shown.contains(char::is_control));
            prop_assert_eq!(unescape(&shown), Some(name));
        }

        #[test]
        fn so_can_names_of_odd_letters(name in "\\PC{0,12}|[\\u{200b}-\\u{206f}a\\\\u{}x]{0,12}") {
            prop_assert_eq!(unescape(&escape(name.as_bytes())), Some(name.into_bytes()));
        }

        #[test]
        fn a_cut_text_never_takes_more_room(text in "\\PC{0,20}", room in 0_usize..12) {
            prop_assert!(width(&cut(&text, room)) <= room);
            prop_assert!(width(&shortened(&text, room)) <= room);
        }
    }
}
