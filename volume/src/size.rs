//! Sizes as text for people.

/// A size like `81.0 KB` or `368 MB`. A kilobyte is a thousand bytes, as for disks. Rounded to the nearest; below a hundred, with one
/// decimal.
pub fn size_text(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let bytes = u128::from(bytes);
    let mut unit_size = 1;
    for unit in UNITS {
        unit_size *= 1000;
        let [tenths, whole] = [10, 1].map(|parts| (bytes * parts + unit_size / 2) / unit_size);
        if tenths < 1000 {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
        if whole < 1000 {
            return format!("{whole} {unit}");
        }
    }
    format!("{} EB", bytes / unit_size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_have_three_digits_and_are_rounded() {
        // The web page's own function is tested with the same table (server/tests/clients/browser.mjs).
        for line in include_str!("size.tsv").lines() {
            let (bytes, text) = line.split_once('\t').unwrap();
            assert_eq!(size_text(bytes.parse().unwrap()), text, "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn more_bytes_are_never_shown_as_less(bytes: u64, more in 0_u64..1_000_000) {
            let number = |it: u64| {
                let text = size_text(it);
                let (number, unit) = text.split_once(' ').unwrap();
                let power = ["B", "KB", "MB", "GB", "TB", "PB", "EB"].iter().position(|it| *it == unit);
                (power.unwrap(), number.parse::<f64>().unwrap())
            };
            prop_assert!(number(bytes) <= number(bytes.saturating_add(more)));
            prop_assert!(number(bytes).1 < 1000.0);
        }
    }
}
