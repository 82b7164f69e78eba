//! Prometheus' text format.
use std::fmt::Write as _;

/// Prometheus kinds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
}

/// Text that grows.
pub(super) struct Page<'a>(pub(super) &'a mut String);

impl Page<'_> {
    /// Announces a name; its lines follow.
    pub(super) fn head(&mut self, name: &str, help: &str, kind: Kind) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One value with labels.
    pub(super) fn line(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{}\"", if index == 0 { "{" } else { "," }, escaped(text));
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// A name with one value.
    pub(super) fn one(&mut self, name: &str, help: &str, kind: Kind, value: f64) {
        self.head(name, help, kind);
        self.line(name, &[], value);
    }

    /// The same when there is a value.
    pub(super) fn maybe(&mut self, name: &str, help: &str, kind: Kind, value: Option<f64>) {
        if let Some(value) = value {
            self.one(name, help, kind, value);
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_a_value_without_labels_has_no_braces() {
        let mut text = String::new();
        let mut page = Page(&mut text);
        page.one("a", "help", Kind::Counter, 2.0);
        page.line("b", &[("x", "q\"\n\\"), ("y", "z")], 0.5);
        page.maybe("c", "help", Kind::Gauge, None);
        assert_eq!(text, "# HELP a help\n# TYPE a counter\na 2\nb{x=\"q\\\"\\n\\\\\",y=\"z\"} 0.5\n");
    }
}
