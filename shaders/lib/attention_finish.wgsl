// The end of an attention: a sum of weighted values and the sum of weights with the same exponent
// become y. A sink is a logit that joins the sum of weights and has no value (ggml's
// `ggml_flash_attn_ext_add_sinks`; Xiao et al., arXiv 2309.17453, is where the name is from).

override SINKS: bool = false;

// What `total` becomes at exponent e once head's sink has joined, and what values shrink by.
struct Finish { inverse: f32, shrink: f32 }

fn finish(total: Pair, sink: f32) -> Finish {
    var joined = total;
    var shrink = 1.0;
    if SINKS {
        let other = pair_exp(clamp(sink, -0x1p126, 0x1p126));
        let e = max(total.e, other.e);
        shrink = exp2_int(total.e - e);
        joined = Pair(total.v * shrink + other.v * exp2_int(other.e - e), e);
    }
    // A query that sees nothing gets zeros.
    let empty = (bitcast<u32>(joined.v) & 0x7fffffffu) == 0u;
    return Finish(select(1.0 / joined.v, 0.0, empty), shrink);
}
