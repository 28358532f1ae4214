// Where in the context a step of the decoder stands: the only words that change from token to
// token.

struct Step { position: u32, rows: u32 }
