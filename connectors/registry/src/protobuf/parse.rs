//! `.proto` texts to message types. Services, extensions and options but `confluent.field_meta` are passed over.
use crate::protobuf::bad;
use crate::protobuf::lexer::{Token, tokens};
use crate::protobuf::model::{Enum, FieldOf, File, Label, Message, Scalar, TypeOf};
use elasticflow_formats::FormatError;
use std::collections::BTreeMap;

/// Deepest nesting of message types.
const DEPTH_MAX: u32 = 50;
/// Largest number of a field.
const NUMBER_MAX: u32 = (1 << 29) - 1;

/// Reads a text.
pub(crate) fn parse(text: &str) -> Result<File, FormatError> {
    let mut parser = Parser { tokens: tokens(text)?.into_iter().peekable(), is_proto3: false, depth: DEPTH_MAX };
    let mut file = File::default();
    while let Some(token) = parser.tokens.next() {
        match token {
            Token::Mark(';') => {}
            Token::Word(word) => match word.as_str() {
                "syntax" => parser.syntax()?,
                "package" => file.package = parser.word()?,
                "message" => file.messages.push(parser.message()?),
                "enum" => file.enums.push(parser.enumeration()?),
                "import" | "option" | "edition" => parser.skip_statement()?,
                "service" | "extend" => parser.skip_statement()?,
                other => return Err(bad(&format!("{other} has no place there"))),
            },
            _ => return Err(bad("a declaration must begin with a word")),
        }
    }
    Ok(file)
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    is_proto3: bool,
    depth: u32,
}

impl Parser {
    fn syntax(&mut self) -> Result<(), FormatError> {
        self.mark('=')?;
        match self.tokens.next() {
            Some(Token::Text(text)) => self.is_proto3 = text == "proto3",
            _ => return Err(bad("syntax must be a text")),
        }
        Ok(())
    }

    fn word(&mut self) -> Result<String, FormatError> {
        match self.tokens.next() {
            Some(Token::Word(word)) => Ok(word),
            _ => Err(bad("a name is missing")),
        }
    }

    fn mark(&mut self, mark: char) -> Result<(), FormatError> {
        if self.tokens.next() == Some(Token::Mark(mark)) { Ok(()) } else { Err(bad(&format!("{mark} is missing"))) }
    }

    fn takes(&mut self, mark: char) -> bool {
        self.tokens.next_if(|token| *token == Token::Mark(mark)).is_some()
    }

    /// Passes over a statement, with its braces.
    fn skip_statement(&mut self) -> Result<(), FormatError> {
        let mut open = 0_u32;
        for token in self.tokens.by_ref() {
            match token {
                Token::Mark('{' | '[' | '(') => open = open.saturating_add(1),
                Token::Mark(mark @ ('}' | ']' | ')')) => {
                    open = open.saturating_sub(1);
                    if open == 0 && mark == '}' {
                        return Ok(());
                    }
                }
                Token::Mark(';') if open == 0 => return Ok(()),
                _ => {}
            }
        }
        Err(bad("a statement without an end"))
    }

    fn message(&mut self) -> Result<Message, FormatError> {
        self.depth = self.depth.checked_sub(1).ok_or_else(|| bad("messages are nested too deeply"))?;
        let mut message = Message { name: self.word()?, ..Message::default() };
        self.mark('{')?;
        loop {
            match self.tokens.next() {
                Some(Token::Mark('}')) => break,
                Some(Token::Mark(';')) => {}
                Some(Token::Word(word)) => self.member(word, &mut message)?,
                _ => return Err(bad(&format!("the message {} has no end", message.name))),
            }
        }
        self.depth = self.depth.saturating_add(1);
        Ok(message)
    }

    fn member(&mut self, word: String, message: &mut Message) -> Result<(), FormatError> {
        match word.as_str() {
            "message" => message.messages.push(self.message()?),
            "enum" => message.enums.push(self.enumeration()?),
            "option" | "reserved" | "extensions" | "extend" => self.skip_statement()?,
            "group" => return Err(bad("groups are not supported")),
            "oneof" => {
                message.oneofs.push(self.word()?);
                self.mark('{')?;
                let oneof = Some(message.oneofs.len().saturating_sub(1));
                while !self.takes('}') {
                    let word = self.word()?;
                    if word == "option" {
                        self.skip_statement()?;
                    } else {
                        let field = self.field(word, Label::Present, oneof)?;
                        message.fields.push(field);
                    }
                }
            }
            "repeated" | "optional" | "required" => {
                let label = if word == "repeated" { Label::Repeated } else { Label::Present };
                let kind = self.word()?;
                let field = self.field(kind, label, None)?;
                message.fields.push(field);
            }
            _ => {
                let label = if self.is_proto3 { Label::Plain } else { Label::Present };
                let field = self.field(word, label, None)?;
                message.fields.push(field);
            }
        }
        Ok(())
    }

    fn field(&mut self, kind: String, label: Label, oneof: Option<usize>) -> Result<FieldOf, FormatError> {
        let (kind, label) = match kind.as_str() {
            "map" if self.takes('<') => {
                let key = Scalar::of_word(&self.word()?).ok_or_else(|| bad("the key of a map must be a plain type"))?;
                self.mark(',')?;
                let value = type_of(self.word()?);
                self.mark('>')?;
                (TypeOf::Map(key, Box::new(value)), Label::Repeated)
            }
            "group" => return Err(bad("groups are not supported")),
            _ => (type_of(kind), label),
        };
        let name = self.word()?;
        self.mark('=')?;
        let number = self.word()?.parse::<u32>().ok().filter(|n| (1..=NUMBER_MAX).contains(n));
        let number = number.ok_or_else(|| bad(&format!("the number of the field {name} is none")))?;
        let parameters = if self.takes('[') { self.options()? } else { BTreeMap::new() };
        self.mark(';')?;
        Ok(FieldOf { name, number, label, kind, oneof, parameters })
    }

    /// The options of a field up to their bracket; keys and values of `confluent.field_meta` are kept.
    fn options(&mut self) -> Result<BTreeMap<String, String>, FormatError> {
        let mut parameters = BTreeMap::new();
        let mut open = 1_u32;
        let (mut expects, mut key) = (None, None);
        for token in self.tokens.by_ref() {
            match token {
                Token::Mark('[' | '{' | '(') => open = open.saturating_add(1),
                Token::Mark(']' | '}' | ')') => {
                    open = open.saturating_sub(1);
                    if open == 0 {
                        return Ok(parameters);
                    }
                }
                Token::Word(word) if word == "key" || word == "value" => expects = Some(word),
                Token::Text(text) => match expects.take().as_deref() {
                    Some("key") => key = Some(text),
                    Some(_) => {
                        if let Some(key) = key.take() {
                            parameters.insert(key, text);
                        }
                    }
                    None => {}
                },
                _ => {}
            }
        }
        Err(bad("options without an end"))
    }

    fn enumeration(&mut self) -> Result<Enum, FormatError> {
        let mut made = Enum { name: self.word()?, symbols: Vec::new() };
        self.mark('{')?;
        loop {
            match self.tokens.next() {
                Some(Token::Mark('}')) => return Ok(made),
                Some(Token::Mark(';')) => {}
                Some(Token::Word(word)) if word == "option" || word == "reserved" => self.skip_statement()?,
                Some(Token::Word(symbol)) => {
                    self.mark('=')?;
                    let number = self.word()?.parse().map_err(|_| bad(&format!("{symbol} has no number")))?;
                    if self.takes('[') {
                        self.options()?;
                    }
                    self.mark(';')?;
                    made.symbols.push((symbol, number));
                }
                _ => return Err(bad(&format!("the enum {} has no end", made.name))),
            }
        }
    }
}

fn type_of(word: String) -> TypeOf {
    Scalar::of_word(&word).map_or(TypeOf::Named(word), TypeOf::Scalar)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        // a comment
        syntax = "proto3";
        package com.x;
        import "confluent/meta.proto"; /* another */
        option java_package = "x";
        message Row {
            reserved 9, 10 to 12;
            int32 small = 1 [(confluent.field_meta) = { params: [ { key: "connect.type", value: "int8" } ] }, deprecated = true];
            optional string note = 2;
            repeated Inner inner = 3;
            map<string, int64> members = 4;
            oneof choice { string text = 5; int64 number = 6; }
            message Inner { bytes b = 1; }
            enum Kind { A = 0; B = 1; }
            Kind kind = 7;
        }
        service S { rpc Get(Row) returns (Row) { option x = 1; } }
    "#;

    #[test]
    fn a_text_is_read() {
        let file = parse(TEXT).unwrap();
        let row = &file.messages[0];
        assert_eq!((file.package.as_str(), row.name.as_str()), ("com.x", "Row"));
        let fields: Vec<_> = row.fields.iter().map(|f| (f.name.as_str(), f.number, f.label)).collect();
        let plain = Label::Plain;
        let wanted = [
            ("small", 1, plain),
            ("note", 2, Label::Present),
            ("inner", 3, Label::Repeated),
            ("members", 4, Label::Repeated),
            ("text", 5, Label::Present),
            ("number", 6, Label::Present),
            ("kind", 7, plain),
        ];
        assert_eq!(fields, wanted);
        assert_eq!(row.fields[0].parameters["connect.type"], "int8");
        assert_eq!((row.fields[4].oneof, row.oneofs.as_slice()), (Some(0), &["choice".to_owned()][..]));
        assert_eq!(row.enums[0].symbols[1], ("B".to_owned(), 1));
    }

    #[test]
    fn what_is_no_proto_text_is_refused() {
        let deep = "message A {".repeat(60);
        for text in
            ["message", "message A {", "message A { int32 a = 0; }", "x", "message A { int32 = 1; }", "/*", "\"", &deep]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r#"(message |enum |oneof |[A-C{};=\[\]<>,"0-9 ]){0,40}"#) {
            let _ = parse(&text);
        }
    }
}
