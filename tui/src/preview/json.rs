//! JSON, and `GeoJSON` (RFC 7946): its features and where they lie, as far as it was read.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::head::Head;
use super::{Body, LINES, Preview};
use crate::text;

/// What was come across.
#[derive(Debug, Default)]
struct Seen {
    kind: String,
    features: u64,
    /// West, south, east, north.
    extent: Option<[f64; 4]>,
    keys: Vec<String>,
    items: u64,
    is_list: bool,
}

pub(super) fn look(head: &Head) -> Preview {
    let mut seen = Seen::default();
    let mut reader = serde_json::Deserializer::from_slice(&head.text);
    let result = Top(&mut seen).deserialize(&mut reader);
    let so_far = if head.is_all { "" } else { " as far as read" };
    let mut facts = Vec::new();
    if seen.kind == "FeatureCollection" || seen.features > 0 {
        facts.push(format!(
            "GeoJSON  {}{so_far}",
            text::things(seen.features, "feature", "features")
        ));
        if let Some([west, south, east, north]) = seen.extent {
            facts.push(format!("{west:.3} {south:.3} to {east:.3} {north:.3}"));
        }
    } else if seen.is_list {
        facts.push(format!("JSON  list of {}{so_far}", text::things(seen.items, "item", "items")));
    } else {
        facts.push(format!("JSON  {}", seen.keys.join(", ")));
    }
    let trouble = match result {
        Err(error) if !error.is_eof() || head.is_all => {
            Some(format!("the JSON is broken: {error}"))
        }
        _ => None,
    };
    let is_one_line = !head.text.contains(&b'\n');
    let shown = |it: &[u8]| {
        text::escape(it.get(..1000).unwrap_or(it)).replace("\\t", "  ").replace("\\\\", "\\")
    };
    let lines: Vec<String> = if is_one_line {
        vec![shown(&head.text)]
    } else {
        head.lines().take(LINES).map(shown).collect()
    };
    Preview { facts, body: Body::Lines(lines), trouble, ..Preview::default() }
}

/// Implements a visitor that passes over what it does not look for.
macro_rules! pass_over_scalars {
    () => {
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("any JSON")
        }
        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            Ok(())
        }
        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            Ok(())
        }
        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            Ok(())
        }
        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            Ok(())
        }
        fn visit_str<E>(self, _: &str) -> Result<(), E> {
            Ok(())
        }
        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
    };
}

/// The whole text.
struct Top<'a>(&'a mut Seen);

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = ();
    pass_over_scalars!();

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            self.0.keys.push(text::escape(key.as_bytes()));
            match key.as_str() {
                "type" => {
                    let kind = map.next_value::<serde_json::Value>()?;
                    kind.as_str().unwrap_or_default().clone_into(&mut self.0.kind);
                }
                "features" => map.next_value_seed(Features(self.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.0.is_list = true;
        while list.next_element::<IgnoredAny>()?.is_some() {
            self.0.items += 1;
        }
        Ok(())
    }
}

/// The list of features, each of which counts when it is whole.
struct Features<'a>(&'a mut Seen);

impl<'de> DeserializeSeed<'de> for Features<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Features<'_> {
    type Value = ();
    pass_over_scalars!();

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Inside { seen: self.0, place: Place::Feature })?.is_some() {
            self.0.features += 1;
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Feature,
    Geometry,
    Coordinates,
}

/// A feature, its geometry, or coordinates at any depth.
struct Inside<'a> {
    seen: &'a mut Seen,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for Inside<'_> {
    type Value = Option<f64>;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Option<f64>, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Inside<'_> {
    type Value = Option<f64>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a feature")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Option<f64>, E> {
        Ok(None)
    }
    #[expect(clippy::cast_precision_loss, reason = "a coordinate")]
    fn visit_i64<E>(self, it: i64) -> Result<Option<f64>, E> {
        Ok(Some(it as f64))
    }
    #[expect(clippy::cast_precision_loss, reason = "a coordinate")]
    fn visit_u64<E>(self, it: u64) -> Result<Option<f64>, E> {
        Ok(Some(it as f64))
    }
    fn visit_f64<E>(self, it: f64) -> Result<Option<f64>, E> {
        Ok(Some(it))
    }
    fn visit_str<E>(self, _: &str) -> Result<Option<f64>, E> {
        Ok(None)
    }
    fn visit_unit<E>(self) -> Result<Option<f64>, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<f64>, A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let place = match (self.place, key.as_str()) {
                (Place::Feature, "geometry") | (Place::Geometry, "geometries") => Place::Geometry,
                (Place::Geometry, "coordinates") => Place::Coordinates,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            map.next_value_seed(Inside { seen: self.seen, place })?;
        }
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<f64>, A::Error> {
        let mut numbers = [None, None];
        let mut count = 0;
        while let Some(number) =
            list.next_element_seed(Inside { seen: self.seen, place: self.place })?
        {
            if let Some(place) = numbers.get_mut(count) {
                *place = number;
            }
            count += 1;
        }
        if let (Place::Coordinates, [Some(x), Some(y)]) = (self.place, numbers) {
            let [west, south, east, north] = self.seen.extent.unwrap_or([x, y, x, y]);
            self.seen.extent = Some([west.min(x), south.min(y), east.max(x), north.max(y)]);
        }
        Ok(None)
    }
}
