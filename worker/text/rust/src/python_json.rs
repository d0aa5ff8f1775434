//! `json.dumps` as transformers' `tojson` filter calls it: ", " and ": " between items, characters
//! outside ASCII kept unless ensure_ascii, nothing escaped for HTML, keys in their own order.

use std::fmt::Write;

use serde_json::{Map, Number, Value};

pub struct Style {
    pub ensure_ascii: bool,
    pub indent: Option<String>, // one level of it
    pub item_separator: String,
    pub key_separator: String,
    pub sort_keys: bool,
}

pub fn dumps(value: &Value, style: &Style) -> String {
    let mut out = String::new();
    write_value(value, style, 0, &mut out);
    out
}

fn write_value(value: &Value, style: &Style, depth: usize, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_string(text, style.ensure_ascii, out),
        Value::Array(items) if items.is_empty() => out.push_str("[]"),
        Value::Array(items) => {
            out.push('[');
            for (idx, item) in items.iter().enumerate() {
                separate(idx, style, depth + 1, out);
                write_value(item, style, depth + 1, out);
            }
            new_line(style, depth, out);
            out.push(']');
        }
        Value::Object(map) if map.is_empty() => out.push_str("{}"),
        Value::Object(map) => write_object(map, style, depth, out),
    }
}

fn write_object(map: &Map<String, Value>, style: &Style, depth: usize, out: &mut String) {
    let mut entries: Vec<_> = map.iter().collect();
    if style.sort_keys {
        entries.sort_by_key(|(key, _)| *key);
    }
    out.push('{');
    for (idx, (key, value)) in entries.into_iter().enumerate() {
        separate(idx, style, depth + 1, out);
        write_string(key, style.ensure_ascii, out);
        out.push_str(&style.key_separator);
        write_value(value, style, depth + 1, out);
    }
    new_line(style, depth, out);
    out.push('}');
}

fn separate(idx: usize, style: &Style, depth: usize, out: &mut String) {
    if idx > 0 {
        out.push_str(&style.item_separator);
    }
    new_line(style, depth, out);
}

fn new_line(style: &Style, depth: usize, out: &mut String) {
    if let Some(indent) = &style.indent {
        out.push('\n');
        for _ in 0..depth {
            out.push_str(indent);
        }
    }
}

fn write_number(number: &Number, out: &mut String) {
    match number.as_f64() {
        Some(value) if number.is_f64() => out.push_str(&python_float(value)),
        _ => out.push_str(&number.to_string()),
    }
}

/// Python's repr of a finite float. Rust's debug format has the same digits and the same bounds of
/// the exponent notation, and writes the exponent without sign and padding.
pub fn python_float(value: f64) -> String {
    let text = format!("{value:?}");
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text;
    };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

fn write_string(text: &str, ensure_ascii: bool, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || (ensure_ascii && c > '~') => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
