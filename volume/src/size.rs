//! Sizes as people read them.

/// Bytes as in `81.0 KB` or `368 MB`: a kilobyte is a thousand bytes, as disks are sold; correctly rounded, to a tenth below a hundred.
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
        let check = |bytes: u64, text: &str| assert_eq!(size_text(bytes), text);
        check(0, "0 B");
        check(999, "999 B");
        check(1000, "1.0 KB");
        check(1_049, "1.0 KB");
        check(1_050, "1.1 KB");
        check(80_997, "81.0 KB");
        check(99_949, "99.9 KB");
        check(99_950, "100 KB");
        check(999_499, "999 KB");
        check(999_500, "1.0 MB");
        check(36_834_859, "36.8 MB");
        check(368_348_590, "368 MB");
        check(1_234_567_890, "1.2 GB");
        check(6_800_000_000, "6.8 GB");
        check(u64::MAX, "18.4 EB");
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
