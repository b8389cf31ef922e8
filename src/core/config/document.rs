//! A TOML document as settings of any type, with the key path and the place of what is wrong.
//!
//! One thin deserializer over the parsed document. With toml's own in a wrapper that tracks paths (`serde_path_to_error`) every type
//! of settings was compiled three times over, and that was more than half of this package.

use std::ops::Range;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// What is wrong with a document, and where.
#[derive(Debug)]
pub struct Fault(Box<Details>);

#[derive(Debug)]
struct Details {
    message: String,
    /// Bytes of the text.
    span: Option<Range<usize>>,
    /// Keys and indices, the innermost first.
    path: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Key(String),
    Index(usize),
}

impl Fault {
    fn new(message: String) -> Self {
        Self(Box::new(Details { message, span: None, path: Vec::new() }))
    }

    /// What was found and what was expected.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where in the text \[bytes\].
    pub fn start(&self) -> Option<usize> {
        self.0.span.as_ref().map(|span| span.start)
    }

    /// `protocol.tasks[0]`; `.` is the whole.
    pub fn path(&self) -> String {
        let mut out = String::new();
        for step in self.0.path.iter().rev() {
            match step {
                Step::Key(key) if out.is_empty() => out.push_str(key),
                Step::Key(key) => out.push_str(&format!(".{key}")),
                Step::Index(index) => out.push_str(&format!("[{index}]")),
            }
        }
        if out.is_empty() { ".".into() } else { out }
    }

    /// Seen from within this; the innermost place stays.
    fn within(mut self, span: Range<usize>, step: Option<Step>) -> Self {
        self.0.span.get_or_insert(span);
        self.0.path.extend(step);
        self
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}

/// Reads the text as `T`.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    let document = DeTable::parse(text).map_err(|error| {
        let mut fault = Fault::new(error.message().into());
        (fault.0.span, fault.0.path) = (error.span(), vec![Step::Key("?".into())]);
        fault
    })?;
    let span = document.span();
    T::deserialize(Node { value: &DeValue::Table(document.into_inner()), span })
}

/// A value of the document.
struct Node<'a, 'i> {
    value: &'a DeValue<'i>,
    span: Range<usize>,
}

impl<'a, 'i> Node<'a, 'i> {
    fn of(value: &'a Spanned<DeValue<'i>>) -> Self {
        Self { value: value.get_ref(), span: value.span() }
    }
}

impl<'de> Deserializer<'de> for Node<'_, '_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let span = self.span;
        let read = match self.value {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => visitor.visit_i64(number),
                Err(_) => match u64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => visitor.visit_u64(number),
                    Err(_) => Err(Fault::new("integer number overflowed".into())),
                },
            },
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(value) if value.is_finite() || number.as_str().contains(['n', 'N']) => visitor.visit_f64(value),
                _ => Err(Fault::new("floating-point number overflowed".into())),
            },
            DeValue::Boolean(value) => visitor.visit_bool(*value),
            // Nothing here is one.
            DeValue::Datetime(date) => Err(de::Error::invalid_type(Unexpected::Other(&date.to_string()), &visitor)),
            DeValue::Array(array) => visitor.visit_seq(Items { array, next: 0 }),
            DeValue::Table(table) => visitor.visit_map(Entries { entries: table.iter(), value: None }),
        };
        read.map_err(|fault| fault.within(span, None))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let span = self.span;
        let read = match self.value {
            DeValue::String(name) => visitor.visit_enum(Variant { name, content: None }),
            DeValue::Table(table) if table.len() == 1 => match table.iter().next() {
                Some((name, content)) => visitor.visit_enum(Variant { name: name.get_ref(), content: Some(content) }),
                None => Err(Fault::new("an empty table".into())),
            },
            other => {
                Err(Fault::new(format!("invalid type: {}, expected string or table with one key", other.type_str())))
            }
        };
        read.map_err(|fault| fault.within(span, None))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

struct Items<'a, 'i> {
    array: &'a DeArray<'i>,
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(item) = self.array.get(self.next) else { return Ok(None) };
        let step = Step::Index(self.next);
        self.next += 1;
        seed.deserialize(Node::of(item)).map(Some).map_err(|fault| fault.within(item.span(), Some(step)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.array.len() - self.next)
    }
}

/// A key and its value.
type Entry<'a, 'i> = (&'a Spanned<std::borrow::Cow<'i, str>>, &'a Spanned<DeValue<'i>>);

struct Entries<'a, 'i, E> {
    entries: E,
    /// Of the key that was read last.
    value: Option<Entry<'a, 'i>>,
}

impl<'de, 'a, 'i: 'a, E: Iterator<Item = Entry<'a, 'i>>> MapAccess<'de> for Entries<'a, 'i, E> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.value = self.entries.next();
        let Some((key, _)) = self.value else { return Ok(None) };
        let text: StrDeserializer<'_, Fault> = key.get_ref().as_ref().into_deserializer();
        let step = || Some(Step::Key(key.get_ref().to_string()));
        seed.deserialize(text).map(Some).map_err(|fault| fault.within(key.span(), step()))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((key, value)) = self.value.take() else { return Err(Fault::new("a value without a key".into())) };
        let step = || Some(Step::Key(key.get_ref().to_string()));
        seed.deserialize(Node::of(value)).map_err(|fault| fault.within(value.span(), step()))
    }
}

struct Variant<'a, 'i> {
    name: &'a str,
    content: Option<&'a Spanned<DeValue<'i>>>,
}

impl<'de, 'a, 'i> EnumAccess<'de> for Variant<'a, 'i> {
    type Error = Fault;
    type Variant = Content<'a, 'i>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'a, 'i>), Fault> {
        let name: StrDeserializer<'_, Fault> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, Content(self.content)))
    }
}

/// What a variant of an enum holds.
struct Content<'a, 'i>(Option<&'a Spanned<DeValue<'i>>>);

impl<'a, 'i> Content<'a, 'i> {
    fn node(self) -> Result<Node<'a, 'i>, Fault> {
        self.0.map(Node::of).ok_or_else(|| Fault::new("this variant has a value".into()))
    }
}

impl<'de> VariantAccess<'de> for Content<'_, '_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.0 {
            None => Ok(()),
            Some(_) => Err(Fault::new("this variant has no value".into())),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(self.node()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.node()?.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        self.node()?.deserialize_any(visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Shape {
        Point,
        Ball(f64),
        Box { sides: [f64; 3] },
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
    enum Law {
        Stiff { gain: f64 },
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Meters(f64);

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct All {
        shapes: Vec<Shape>,
        law: Law,
        far: Option<Meters>,
        near: Option<Meters>,
        seed: u64,
        whole: i8,
        limit: f64,
        names: BTreeMap<String, bool>,
    }

    const TEXT: &str = "shapes = [\"point\", { ball = 0.5 }, { box = { sides = [1, 2.0, 3e0] } }]\nfar = 2\n\
                        seed = 0xFFFF_FFFF_FFFF_FFFF\nwhole = -1_0\nlimit = inf\n[law]\nkind = \"stiff\"\ngain = 3\n\
                        [names]\nknife = true\n\"a b\" = false\n";

    #[test]
    fn every_kind_of_value_is_read() {
        let all: All = read(TEXT).unwrap();
        let shapes = vec![Shape::Point, Shape::Ball(0.5), Shape::Box { sides: [1.0, 2.0, 3.0] }];
        let names = [("knife".to_string(), true), ("a b".to_string(), false)].into();
        let (law, far) = (Law::Stiff { gain: 3.0 }, Some(Meters(2.0)));
        let (seed, whole, limit) = (u64::MAX, -10, f64::INFINITY);
        assert_eq!(all, All { shapes, law, far, near: None, seed, whole, limit, names });
    }

    #[test]
    fn a_fault_names_the_path_and_the_place() {
        let cases = [
            ("{ ball = 0.5 }", "{ ball = true }", "shapes[1]", 1, "invalid type: boolean `true`, expected f64"),
            ("3e0", "\"x\"", "shapes[2].sides[2]", 1, "invalid type: string \"x\", expected f64"),
            ("whole = -1_0", "whole = 300", "whole", 4, "invalid value: integer `300`, expected i8"),
            ("0xFFFF_FFFF_FFFF_FFFF", "99999999999999999999", "seed", 3, "integer number overflowed"),
            ("limit = inf", "limit = 1e999", "limit", 5, "floating-point number overflowed"),
            ("limit = inf", "limit = 1979-05-27", "limit", 5, "invalid type: 1979-05-27, expected f64"),
            // What is read by its tag is buffered first: its table is named.
            ("gain = 3", "gains = 3", "law", 6, "unknown field `gains`, expected `gain`"),
            ("gain = 3\n", "", "law", 6, "missing field `gain`"),
            ("far = 2", "fur = 2", "fur", 2, "unknown field `fur`, expected one of"),
            ("limit = inf\n", "", ".", 1, "missing field `limit`"),
            ("knife = true", "knife = \"yes\"", "names.knife", 10, "invalid type: string \"yes\", expected a boolean"),
            ("\"point\"", "\"plane\"", "shapes[0]", 1, "unknown variant `plane`, expected one of"),
            ("\"point\"", "7", "shapes[0]", 1, "invalid type: integer, expected string or table with one key"),
            ("far = 2", "far = = 2", "?", 2, ""),
        ];
        for (from, to, path, line, message) in cases {
            let text = TEXT.replacen(from, to, 1);
            assert_ne!(text, TEXT, "{from}");
            let fault = read::<All>(&text).unwrap_err();
            let found = fault.start().map(|at| text[..at].matches('\n').count() + 1);
            assert_eq!((fault.path().as_str(), found), (path, Some(line)), "{to}: {fault}");
            assert!(fault.message().starts_with(message), "{to}: {fault}");
        }
    }
}
