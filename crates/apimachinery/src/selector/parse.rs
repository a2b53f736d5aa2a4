//! The string form of label selectors: a lexer and a recursive descent that fail where upstream's do.

use std::collections::BTreeSet;

use super::{Operator, Requirement, SelectorError};
use crate::status::{FieldError, Path};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    End,
    Comma,
    Open,
    Close,
    Not,
    /// A comparison written with symbols.
    Symbol(Operator),
    /// `in` or `notin`, which in most places are also good identifiers.
    Word(Operator),
    Identifier,
}

fn is_symbol(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn lex(text: &str) -> Vec<(Token, &str)> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            ',' => (Token::Comma, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '>' => (Token::Symbol(Operator::GreaterThan), 1),
            '<' => (Token::Symbol(Operator::LessThan), 1),
            '=' if rest.starts_with("==") => (Token::Symbol(Operator::DoubleEquals), 2),
            '=' => (Token::Symbol(Operator::Equals), 1),
            '!' if rest.starts_with("!=") => (Token::Symbol(Operator::NotEquals), 2),
            '!' => (Token::Not, 1),
            _ => {
                let length = rest.find(|c| is_symbol(c) || is_space(c)).unwrap_or(rest.len());
                match &rest[..length] {
                    "in" => (Token::Word(Operator::In), length),
                    "notin" => (Token::Word(Operator::NotIn), length),
                    _ => (Token::Identifier, length),
                }
            }
        };
        tokens.push((token, &rest[..length]));
        rest = rest[length..].trim_start_matches(is_space);
    }
    tokens
}

struct Parser<'a> {
    tokens: Vec<(Token, &'a str)>,
    at: usize,
}

fn found(literal: &str, expected: &str) -> SelectorError {
    SelectorError(format!("found '{literal}', expected: {expected}"))
}

pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    let mut parser = Parser { tokens: lex(text), at: 0 };
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            (Token::End, _) => return Ok(requirements),
            (Token::Identifier | Token::Not, _) => {}
            (_, literal) => return Err(found(literal, "!, identifier, or 'end of string'")),
        }
        let requirement = parser
            .requirement()
            .map_err(|error| SelectorError(format!("unable to parse requirement: {error}")))?;
        requirements.push(requirement);
        match parser.next() {
            (Token::End, _) => return Ok(requirements),
            (Token::Comma, _) => match parser.peek() {
                (Token::Identifier | Token::Not, _) => {}
                (_, literal) => return Err(found(literal, "identifier after ','")),
            },
            (_, literal) => return Err(found(literal, "',' or 'end of string'")),
        }
    }
}

impl<'a> Parser<'a> {
    /// The next token where a key or value may stand: `in` and `notin` are identifiers there.
    fn peek(&self) -> (Token, &'a str) {
        match self.tokens.get(self.at) {
            None => (Token::End, ""),
            Some((Token::Word(_), literal)) => (Token::Identifier, literal),
            Some(&token) => token,
        }
    }

    fn next(&mut self) -> (Token, &'a str) {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let mut token = self.next();
        let negated = token.0 == Token::Not;
        if negated {
            token = self.next();
        }
        let (Token::Identifier, key) = token else { return Err(found(token.1, "identifier")) };
        let problems = crate::names::qualified_name(key);
        if !problems.is_empty() {
            return Err(SelectorError(
                FieldError::invalid(&Path::nil(), key, &problems.join("; ")).to_string(),
            ));
        }
        if negated {
            return Requirement::new(key, Operator::DoesNotExist, BTreeSet::new());
        }
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Requirement::new(key, Operator::Exists, BTreeSet::new());
        }
        let (token, literal) = self.tokens.get(self.at).copied().unwrap_or((Token::End, ""));
        self.at += 1;
        let (Token::Symbol(operator) | Token::Word(operator)) = token else {
            return Err(found(literal, "in, notin, =, ==, !=, gt, lt"));
        };
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => [self.exact_value()?.to_owned()].into(),
        };
        Requirement::new(key, operator, values)
    }

    fn exact_value(&mut self) -> Result<&'a str, SelectorError> {
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok("");
        }
        match self.next() {
            (Token::Identifier, literal) => Ok(literal),
            (_, literal) => Err(found(literal, "identifier")),
        }
    }

    fn values(&mut self) -> Result<BTreeSet<String>, SelectorError> {
        let (token, literal) = self.next();
        if token != Token::Open {
            return Err(SelectorError(format!("found '{literal}' expected: '('")));
        }
        match self.peek() {
            (Token::Identifier | Token::Comma, literal) => {
                let values = self.value_list()?;
                if self.next().0 != Token::Close {
                    return Err(found(literal, "')'"));
                }
                Ok(values)
            }
            (Token::Close, _) => {
                self.at += 1;
                Ok([String::new()].into())
            }
            (_, literal) => Err(found(literal, "',', ')' or identifier")),
        }
    }

    fn value_list(&mut self) -> Result<BTreeSet<String>, SelectorError> {
        let mut values = BTreeSet::new();
        loop {
            match self.next() {
                (Token::Identifier, literal) => {
                    values.insert(literal.to_owned());
                    match self.peek() {
                        (Token::Comma, _) => {}
                        (Token::Close, _) => return Ok(values),
                        (_, literal) => return Err(found(literal, "',' or ')'")),
                    }
                }
                // A comma without a value before or after it stands for the empty value.
                (Token::Comma, _) => {
                    if values.is_empty() {
                        values.insert(String::new());
                    }
                    match self.peek().0 {
                        Token::Close => {
                            values.insert(String::new());
                            return Ok(values);
                        }
                        Token::Comma => {
                            self.at += 1;
                            values.insert(String::new());
                        }
                        _ => {}
                    }
                }
                (_, literal) => return Err(found(literal, "',', or identifier")),
            }
        }
    }
}
