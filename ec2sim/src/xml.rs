//! Writes XML: elements, texts, lists of items.

use quick_xml::escape::escape;
use std::fmt::{Display, Write};

/// A document under way.
#[derive(Default)]
pub struct Xml {
    out: String,
}

impl Xml {
    /// The document so far.
    pub fn finish(self) -> String {
        self.out
    }

    /// An element around others. `open` may carry attributes.
    pub fn node(&mut self, open: &str, fill: impl FnOnce(&mut Self)) {
        let name = open.split(' ').next().unwrap_or(open);
        self.put(format_args!("<{open}>"));
        fill(self);
        self.put(format_args!("</{name}>"));
    }

    /// An element around a text.
    pub fn text(&mut self, name: &str, value: impl Display) {
        let value = value.to_string();
        self.put(format_args!("<{name}>{}</{name}>", escape(&value)));
    }

    /// A text without an element of its own.
    pub fn raw(&mut self, value: &str) {
        self.put(format_args!("{}", escape(value)));
    }

    /// An element around a text, or nothing.
    pub fn maybe(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// A set: `<name><item>…</item>…</name>`.
    pub fn items<T>(&mut self, name: &str, all: impl IntoIterator<Item = T>, fill: impl Fn(&mut Self, T)) {
        self.node(name, |xml| {
            for one in all {
                xml.node("item", |xml| fill(xml, one));
            }
        });
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing into a String cannot fail.
        let _ = self.out.write_fmt(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_and_attributes_stay_at_the_opening() {
        let mut xml = Xml::default();
        xml.node("a x=\"1\"", |xml| {
            xml.text("t", "<&>");
            xml.items("s", ["1", "2"], |xml, v| xml.text("v", v));
            xml.maybe("none", None::<&str>);
        });
        assert_eq!(
            xml.finish(),
            "<a x=\"1\"><t>&lt;&amp;&gt;</t><s><item><v>1</v></item><item><v>2</v></item></s></a>"
        );
    }
}
