// 32 codes of 2 to 8 bits in as many words, element j in bits width·j.. of the stream.

struct Stream { front: vec4<u32>, back: vec4<u32> }

// The stream of `width` words from word `at` on, which is a multiple of its width.
fn load_stream(at: u32, width: u32) -> Stream {
    if width == 4u {
        return Stream(load_vec4(at / 4u), vec4<u32>());
    }
    if width == 8u {
        return Stream(load_vec4(at / 4u), load_vec4(at / 4u + 1u));
    }
    var s = Stream(vec4<u32>(load_word(at), load_word(at + 1u), 0u, 0u), vec4<u32>());
    if width > 2u {
        s.front.z = load_word(at + 2u);
    }
    if width > 4u {
        s.front.w = load_word(at + 3u);
        s.back.x = load_word(at + 4u);
    }
    if width > 5u {
        s.back.y = load_word(at + 5u);
    }
    if width > 6u {
        s.back.z = load_word(at + 6u);
    }
    return s;
}

fn stream_word(s: Stream, i: u32) -> u32 {
    return select(s.back[i & 3u], s.front[i & 3u], i < 4u);
}

// The 8·width bits of codes 8g..8g+8.
fn stream_window(s: Stream, width: u32, g: u32) -> vec2<u32> {
    let at = width * g / 4u;
    let shift = 8u * (width * g % 4u);
    let words = vec3<u32>(
        stream_word(s, at), stream_word(s, min(at + 1u, 7u)), stream_word(s, min(at + 2u, 7u)));
    if shift == 0u {
        return words.xy;
    }
    return (words.xy >> vec2<u32>(shift)) | (words.yz << vec2<u32>(32u - shift));
}

// Code i of a window, below bits of other codes.
fn stream_code(w: vec2<u32>, width: u32, i: u32) -> u32 {
    let bit = width * i;
    if bit == 0u {
        return w.x;
    }
    if bit < 32u {
        return (w.x >> bit) | (w.y << (32u - bit));
    }
    return w.y >> (bit - 32u);
}
