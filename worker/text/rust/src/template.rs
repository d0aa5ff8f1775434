//! Chat templates as transformers renders them with Jinja2 (ImmutableSandboxedEnvironment,
//! trim_blocks, lstrip_blocks, loop controls, raise_exception, strftime_now, its own tojson, and the
//! methods of Python's str, list and dict). Where minijinja differs:
//!   - printing a bare True, None or float gives what Python prints (below); printing a list or a map
//!     is an error, because its Python repr is not imitated; inside `~` and `join`, True, False and
//!     None come out as minijinja writes them;
//!   - the reverse of an empty text or list ([::-1]) is a fault; `title` and `capitalize` differ after
//!     an apostrophe and on letters such as U+01C6; a tuple equals a list. What is not there at all
//!     (`%` on texts, some filters and methods of str) is refused;
//!   - `{% generation %}` only marks text for transformers and is read as `{% if true %}`;
//!   - a template has a limit of bytes, a rendering of instructions, of nested macro calls and of bytes
//!     written. None bounds the values that a template builds without writing them: doubling a string
//!     exhausts the memory, a list nested a million deep the stack, and one instruction may work on all
//!     of it. Either ends the process, which is the trainer or the command line, never the server.
//!     Templates come with the model, which the operator chose.

use std::fmt::Write;
use std::io;
use std::thread;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{context, Environment, Error, ErrorKind, Output, State};

use crate::clock::strftime;
use crate::ffi::{caught, entry, invalid, text, Buffer, Fault, Outcome, INTERNAL, RESOURCE_EXHAUSTED};
use crate::python_json::{dumps, python_float, Style};
use crate::python_text;

/// Bytes of a template; the largest in use have some 20,000.
const MAX_SOURCE: usize = 256 * 1024;
/// Bytes that one rendering writes; a row of a dataset is at most 4 MiB.
const MAX_OUTPUT: usize = 16 << 20;
/// Stack for reading a template, of which only what is used takes memory: minijinja walks chains
/// ("1+1+1...") by recursion, without a limit of its own. Enough for MAX_SOURCE bytes of them.
const STACK: usize = 256 << 20;
/// Instructions of one rendering; a turn of a usual template takes about 50. Bounds a hostile loop to
/// about a second.
const FUEL: u64 = 10_000_000;
/// Nested macro and include calls; small enough for a thread with a 1 MB stack.
const MAX_RECURSION: usize = 100;
const NAME: &str = "chat_template";

pub struct Handle {
    environment: Environment<'static>,
}

fn refuse(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(refuse(message))
}

/// transformers: tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False).
fn tojson(value: Value, options: Kwargs) -> Result<String, Error> {
    let indent = match options.get::<Option<Value>>("indent")? {
        None => None,
        Some(indent) if indent.is_none() || indent.is_undefined() => None,
        Some(indent) => match indent.as_str() {
            Some(text) => Some(text.to_string()),
            None => Some(" ".repeat(u8::try_from(indent)?.into())),
        },
    };
    let separators = match options.get::<Option<Vec<String>>>("separators")? {
        Some(pair) if pair.len() == 2 => pair,
        Some(_) => return Err(refuse("tojson: separators needs two strings")),
        None => vec![if indent.is_some() { "," } else { ", " }.to_string(), ": ".to_string()],
    };
    let style = Style {
        ensure_ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        sort_keys: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        indent,
        item_separator: separators[0].clone(),
        key_separator: separators[1].clone(),
    };
    options.assert_all_used()?;
    if value.is_undefined() {
        return Err(refuse("tojson: the value is undefined"));
    }
    let json = serde_json::to_value(&value).map_err(|error| refuse(error.to_string()))?;
    Ok(dumps(&json, &style))
}

/// Prints as Python's str() does.
fn print(out: &mut Output, _state: &State, value: &Value) -> Result<(), Error> {
    let written = match value.kind() {
        ValueKind::Undefined => Ok(()),
        ValueKind::None => out.write_str("None"),
        ValueKind::Bool => out.write_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => {
            return Err(refuse(format!("cannot print a {}; use tojson", value.kind())));
        }
        ValueKind::Number if !value.is_integer() => {
            out.write_str(&python_float(f64::try_from(value.clone())?))
        }
        _ => write!(out, "{value}"),
    };
    written.map_err(|_| refuse("cannot write the output"))
}

/// Replaces `{% generation %}` and `{% endgeneration %}`, keeping their whitespace control.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(open) = rest.find("{%") {
        let Some(inner) = rest[open + 2..].find("%}") else { break };
        let length = inner + 2;
        let inside = &rest[open + 2..open + length];
        let word = inside.trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+');
        let tag = match word {
            "generation" => "if true",
            "endgeneration" => "endif",
            _ => word,
        };
        out.push_str(&rest[..open + 2]);
        out.push_str(&if tag == word { inside.to_string() } else { inside.replacen(word, tag, 1) });
        rest = &rest[open + length..];
    }
    out + rest
}

fn describe(error: &Error) -> String {
    let mut message = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    if let Some(line) = error.line() {
        let _ = write!(message, " (line {line} of the chat template)");
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let _ = write!(message, ": {cause}");
        source = cause.source();
    }
    message
}

/// What a rendering wrote so far, up to MAX_OUTPUT.
#[derive(Default)]
struct Page {
    bytes: Vec<u8>,
    is_full: bool,
}

impl io::Write for Page {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if more.len() > MAX_OUTPUT - self.bytes.len() {
            self.is_full = true;
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs `body` on a thread of its own that has STACK bytes of stack. Starting it takes some 50 us.
fn with_stack<T: Send>(body: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
    let fault = |message: String| Fault { code: INTERNAL, message };
    thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(STACK);
        let started = builder.spawn_scoped(scope, || caught(body));
        let running = started.map_err(|error| fault(format!("no thread for a template: {error}")))?;
        running.join().unwrap_or_else(|_| Err(fault("a template's thread ended".to_string())))
    })
}

fn compile(source: &str) -> Outcome<Handle> {
    if source.len() > MAX_SOURCE {
        let size = source.len();
        return Err(invalid(format!("the chat template has {size} bytes, more than {MAX_SOURCE}")));
    }
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(MAX_RECURSION);
    python_text::install(&mut environment);
    environment.set_formatter(print);
    environment.add_filter("tojson", tojson);
    environment.add_function("raise_exception", raise_exception);
    // Jinja2 reads every kind of line end as a line feed.
    let unix = source.replace("\r\n", "\n").replace('\r', "\n");
    environment
        .add_template_owned(NAME, without_generation_tags(&unix))
        .map_err(|error| invalid(describe(&error)))?;
    Ok(Handle { environment })
}

fn render(handle: &Handle, variables: &str, now_unix_s: i64) -> Outcome<String> {
    let variables: serde_json::Value = serde_json::from_str(variables).map_err(invalid)?;
    let clock = Value::from_function(move |format: String| -> Result<String, Error> {
        strftime(&format, now_unix_s).map_err(refuse)
    });
    let context = context! { strftime_now => clock, ..Value::from_serialize(&variables) };
    let mut page = Page::default();
    let template = handle.environment.get_template(NAME).map_err(|it| invalid(describe(&it)))?;
    let exhausted = |message: String| Fault { code: RESOURCE_EXHAUSTED, message };
    match template.render_captured_to(context, &mut page) {
        Ok(_) => String::from_utf8(page.bytes).map_err(invalid),
        Err(_) if page.is_full => {
            Err(exhausted(format!("the chat template wrote more than {MAX_OUTPUT} bytes")))
        }
        Err(error) if error.kind() == ErrorKind::OutOfFuel => {
            Err(exhausted(format!("the chat template ran for more than {FUEL} instructions")))
        }
        Err(error) => Err(invalid(describe(&error))),
    }
}

#[no_mangle]
pub unsafe extern "C" fn jenner_text_template_new(
    source: *const u8,
    size: usize,
    out: *mut *mut Handle,
    error: *mut Buffer,
) -> i32 {
    let body = || {
        let source = text(source, size, "chat template")?;
        with_stack(|| compile(source))
    };
    entry(error, body, |handle| out.write(Box::into_raw(Box::new(handle))))
}

#[no_mangle]
pub unsafe extern "C" fn jenner_text_template_free(handle: *mut Handle) {
    if !handle.is_null() {
        drop(Box::from_raw(handle));
    }
}

#[no_mangle]
pub unsafe extern "C" fn jenner_text_template_render(
    handle: *const Handle,
    context: *const u8,
    size: usize,
    now_unix_s: i64,
    out: *mut Buffer,
    error: *mut Buffer,
) -> i32 {
    let body = || render(&*handle, text(context, size, "template variables")?, now_unix_s);
    entry(error, body, |rendered| out.write(Buffer::new(rendered)))
}
