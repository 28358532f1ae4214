// Where in the cache the sequences of a step stand: the only words that change from token to token.

const MAX_SEQUENCES: u32 = 64u;

// `rows` rows from `position` on, of a sequence that has the cache's positions start..end.
struct Span { position: u32, rows: u32, start: u32, end: u32 }

struct Step { spans: array<Span, MAX_SEQUENCES> }
