//! What Python does with a text in a template, where minijinja and its pycompat differ: white space,
//! line ends, positions in characters, escapes, which values are sequences and numbers.

use std::borrow::Cow;

use minijinja::value::{from_args, Kwargs, StringInput, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};
use minijinja_contrib::pycompat::unknown_method_callback;

/// str.isspace: Unicode's white space and the four separators of ASCII.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

fn strip<'a>(text: &'a str, chars: Option<&str>, left: bool, right: bool) -> &'a str {
    let goes = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    let text = if left { text.trim_start_matches(goes) } else { text };
    if right {
        text.trim_end_matches(goes)
    } else {
        text
    }
}

/// The words of `text`; after `most` of them the rest as it is.
fn words(text: &str, most: Option<usize>) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        let end = rest.find(is_space).filter(|_| most != Some(found.len())).unwrap_or(rest.len());
        found.push(&rest[..end]);
        rest = rest[end..].trim_start_matches(is_space);
    }
    found
}

fn split(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (separator, most, options): (Option<&str>, Option<i64>, Kwargs) = from_args(args)?;
    let separator = separator.or(options.get("sep")?);
    let most: Option<i64> = most.or(options.get("maxsplit")?);
    options.assert_all_used()?;
    let most = most.and_then(|most| usize::try_from(most).ok()); // below 0: all
    let parts = match (separator, most) {
        (None, most) => words(text, most),
        (Some(""), _) => {
            return Err(Error::new(ErrorKind::InvalidOperation, "split: empty separator"));
        }
        (Some(separator), None) => text.split(separator).collect(),
        (Some(separator), Some(most)) => text.splitn(most + 1, separator).collect(),
    };
    Ok(parts.into_iter().map(Value::from).collect())
}

fn splitlines(text: &str, keep_ends: bool) -> Value {
    let is_end =
        |c: char| matches!(c, '\n'..='\r' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let line = rest.find(is_end).unwrap_or(rest.len());
        let mark = rest[line..].chars().next().map_or(0, char::len_utf8);
        let end = line + if rest[line..].starts_with("\r\n") { 2 } else { mark };
        lines.push(Value::from(&rest[..if keep_ends { end } else { line }]));
        rest = &rest[end..];
    }
    Value::from(lines)
}

/// Position in characters of byte `at`, or -1.
fn position(text: &str, at: Option<usize>) -> Value {
    at.map_or(Value::from(-1), |at| Value::from(text[..at].chars().count()))
}

fn method(state: &State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        return unknown_method_callback(state, value, name, args);
    };
    match name {
        "strip" | "lstrip" | "rstrip" => {
            let (chars,): (Option<&str>,) = from_args(args)?;
            Ok(strip(text, chars, name != "rstrip", name != "lstrip").into())
        }
        "split" => split(text, args),
        "splitlines" => {
            let (keep_ends,): (Option<bool>,) = from_args(args)?;
            Ok(splitlines(text, keep_ends.unwrap_or(false)))
        }
        "find" | "rfind" => {
            let (what,): (&str,) = from_args(args)?;
            Ok(position(text, if name == "find" { text.find(what) } else { text.rfind(what) }))
        }
        "count" => {
            let (what,): (&str,) = from_args(args)?;
            Ok(text.matches(what).count().into())
        }
        "isspace" => {
            let () = from_args(args)?;
            Ok((!text.is_empty() && text.chars().all(is_space)).into())
        }
        "islower" | "isupper" => {
            let () = from_args(args)?;
            let has = |upper: bool| {
                text.chars().any(|c| if upper { c.is_uppercase() } else { c.is_lowercase() })
            };
            Ok((has(name == "isupper") && !has(name == "islower")).into())
        }
        "isalpha" | "isalnum" | "isdigit" | "isnumeric" if text.is_empty() => Ok(false.into()),
        _ => unknown_method_callback(state, value, name, args),
    }
}

fn trim(value: StringInput<'_>, chars: Option<Cow<'_, str>>) -> Value {
    value.preserve_safety(strip(value.as_str(), chars.as_deref(), true, true).to_string())
}

fn escape(value: Value) -> Value {
    if value.is_safe() {
        return value;
    }
    let mut text = value.to_string();
    for (mark, name) in [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&#39;"), ("\"", "&#34;")] {
        text = text.replace(mark, name);
    }
    Value::from_safe_string(text)
}

/// What has a length and can be indexed; slices are iterables here.
fn is_sequence(value: &Value) -> bool {
    value.is_undefined() || value.len().is_some()
}

fn is_number(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Number | ValueKind::Bool)
}

pub fn install(environment: &mut Environment) {
    environment.set_unknown_method_callback(method);
    environment.add_filter("trim", trim);
    environment.add_filter("escape", escape);
    environment.add_filter("e", escape);
    environment.add_test("sequence", is_sequence);
    environment.add_test("number", is_number);
}
