/* C interface of the Rust archive (worker/text/rust): Hugging Face tokenizer, chat template, and
 * the measurements of text that scorers need. The only door to Rust; C++ code outside worker/text
 * and worker/score uses tokenizer.h, chat_template.h and scorer.h instead.
 *
 * Text in is UTF-8 with an explicit length, no terminator needed. What comes out is allocated here
 * and freed by the matching *_free function; freeing an empty (zeroed) one is allowed. Every
 * function that can fail returns a code and, if it is not JENNER_TEXT_OK, sets `error` to a message
 * and leaves `out` as it was. Rust panics are caught and returned as JENNER_TEXT_INTERNAL. Handles
 * are immutable: all functions may be called from any thread at once, but freeing excludes every
 * other use. */
#ifndef JENNER_WORKER_TEXT_JENNER_TEXT_H_
#define JENNER_WORKER_TEXT_JENNER_TEXT_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  JENNER_TEXT_OK = 0,
  JENNER_TEXT_INVALID_ARGUMENT = 1,   /* broken file, template error, bad UTF-8, unknown id */
  JENNER_TEXT_RESOURCE_EXHAUSTED = 2, /* a template ran or wrote more than its limit */
  JENNER_TEXT_INTERNAL = 3            /* a fault of the archive */
};

typedef struct JennerTokenizer JennerTokenizer;
typedef struct JennerTemplate JennerTemplate;

typedef struct {
  char* data; /* not terminated */
  size_t size;
} JennerTextBuffer;

typedef struct {
  uint64_t begin; /* the token stands for bytes [begin, end) of the encoded text */
  uint64_t end;
  uint32_t id;
} JennerTextToken;

typedef struct {
  JennerTextToken* data;
  size_t size;
} JennerTextTokens;

void jenner_text_buffer_free(JennerTextBuffer buffer);
void jenner_text_tokens_free(JennerTextTokens tokens);

/* The length of the longest prefix of [data, data + size) that is valid UTF-8; `size` if all is. */
size_t jenner_text_valid_utf8(const char* data, size_t size);

/* --- Tokenizer: the content of a tokenizer.json. Its truncation and padding are switched off, and
 * its post-processor is dropped, which could only add special tokens and trim offsets. --- */
int32_t jenner_text_tokenizer_new(const char* json, size_t size, JennerTokenizer** out,
                                  JennerTextBuffer* error);
void jenner_text_tokenizer_free(JennerTokenizer* tokenizer);

/* Adds no special tokens; the strings of special tokens in `text` become those tokens. */
int32_t jenner_text_tokenizer_encode(const JennerTokenizer* tokenizer, const char* text,
                                     size_t size, JennerTextTokens* out, JennerTextBuffer* error);

/* Bytes that are not UTF-8 (part of a character) become U+FFFD. An id that the vocabulary lacks is
 * InvalidArgument. */
int32_t jenner_text_tokenizer_decode(const JennerTokenizer* tokenizer, const uint32_t* ids,
                                     size_t num_ids, int32_t skip_special, JennerTextBuffer* out,
                                     JennerTextBuffer* error);

/* The id of a piece as the vocabulary writes it, or -1. */
int64_t jenner_text_tokenizer_id(const JennerTokenizer* tokenizer, const char* piece, size_t size);

/* 1 + the greatest id, added tokens included. */
uint64_t jenner_text_tokenizer_vocab_size(const JennerTokenizer* tokenizer);

/* --- Chat template: Jinja as transformers runs it (see rust/src/template.rs for what differs). ---
 */
int32_t jenner_text_template_new(const char* source, size_t size, JennerTemplate** out,
                                 JennerTextBuffer* error);
void jenner_text_template_free(JennerTemplate* chat_template);

/* `context` is a JSON object of the template's variables, in order. `now_unix_s` is the UTC time
 * that strftime_now sees. */
int32_t jenner_text_template_render(const JennerTemplate* chat_template, const char* context,
                                    size_t size, int64_t now_unix_s, JennerTextBuffer* out,
                                    JennerTextBuffer* error);

/* --- Measurements for scorers. Bytes that are not UTF-8 count as U+FFFD, which is no letter. ---
 */
typedef struct {
  uint64_t cased; /* characters that are upper or lower case */
  uint64_t upper;
} JennerTextCase;

int32_t jenner_text_measure_case(const char* text, size_t size, JennerTextCase* out,
                                 JennerTextBuffer* error);

typedef struct {
  uint64_t letters;          /* of the words that were kept (see rust/src/language.rs) */
  uint64_t latin_letters;    /* of those, in the Latin script */
  uint64_t vowels;           /* of the Latin letters */
  uint64_t distinct_letters; /* different letters, case folded */
  double spanish; /* probabilities among these four languages; all 0 if none is possible */
  double english;
  double french;
  double german;
} JennerTextLanguage;

int32_t jenner_text_measure_language(const char* text, size_t size, JennerTextLanguage* out,
                                     JennerTextBuffer* error);

/* --- Forms of a text that scorers look at. --- */

/* ASCII, lower case: typographic quotes, dashes, full stops and signs of arithmetic as ASCII's;
 * letters and digits outside ASCII as '_', one each; an emoji, however many characters, as "\x01"
 * between spaces; line ends as
 * "\n"; what shows nothing left out; all else a space. Words, digits and word boundaries that an
 * ASCII pattern finds in it are those of the text. */
int32_t jenner_text_plain(const char* text, size_t size, JennerTextBuffer* out,
                          JennerTextBuffer* error);

/* The words (UAX #29 word boundaries; those with a letter or digit), lower case, each and "\n". */
int32_t jenner_text_words(const char* text, size_t size, JennerTextBuffer* out,
                          JennerTextBuffer* error);

/* Normal form C; no white space at the ends, one space for each run inside; lower case on demand.
 */
int32_t jenner_text_normal(const char* text, size_t size, int32_t lower_case, JennerTextBuffer* out,
                           JennerTextBuffer* error);

#ifdef __cplusplus
}
#endif

#endif /* JENNER_WORKER_TEXT_JENNER_TEXT_H_ */
