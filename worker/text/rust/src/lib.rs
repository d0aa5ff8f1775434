//! C interface of ../../jenner_text.h, where every function is documented. This file only declares
//! the modules; each module holds its own entry points and, apart from them, safe code.

mod case;
mod clock;
mod ffi;
mod forms;
mod language;
mod python_json;
mod python_text;
mod template;
mod tokenizer;
