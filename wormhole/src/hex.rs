//! Hexadecimal digits, the form of all bytes on the mailbox server. Pure.

/// Digits in lower case, as every client writes them.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let digit = |it: u8| char::from_digit(u32::from(it), 16).unwrap_or('0');
    bytes.iter().flat_map(|it| [digit(it >> 4), digit(it & 15)]).collect()
}

/// The bytes; `None` where the text is not an even number of hexadecimal digits.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digit = |it: u8| char::from(it).to_digit(16).and_then(|it| u8::try_from(it).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_and_nonsense_is_refused() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)), Some(all));
        assert_eq!(decode("00FFaB"), Some(vec![0, 255, 171]));
        assert_eq!(decode(""), Some(vec![]));
        for text in ["0", "0g", "+1", "é0", "0x00"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
