//! The tables of docs/FORMATS.md are what the code's own tables and encoders say. To write them anew:
//! `MANTISSA_BLESS=1 cargo test --test formats docs`.

use std::fmt::Write;
use std::path::Path;

use mantissa::formats::{
    FAMILIES, FORMATS, Family, FormatRef, RowScale, all, by_name, decode_rows, encode_rows,
    row_bytes,
};
use mantissa::ops::quantize::can_encode;

const FILE: &str = "docs/FORMATS.md";
/// Rows and columns of normal weights that errors are measured on; every block divides the columns.
const SAMPLE: (usize, usize) = (16, 1024);

#[test]
fn the_documents_tables_are_the_codes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let text = std::fs::read_to_string(&path).expect(FILE);
    let mut wanted = with_table(&text, "fixed", &table(FORMATS.iter().copied()));
    for family in FAMILIES {
        wanted = with_table(&wanted, family.name, &table(shown(family)));
    }
    if std::env::var_os("MANTISSA_BLESS").is_some() {
        std::fs::write(&path, &wanted).expect(FILE);
    } else {
        assert!(text == wanted, "{FILE} is not what the code says; MANTISSA_BLESS=1 writes it");
    }
}

#[test]
fn the_document_names_every_format() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let text = std::fs::read_to_string(&path).expect(FILE);
    let missing = FORMATS.iter().map(|f| f.name()).chain(FAMILIES.iter().map(|f| f.grammar));
    let missing: Vec<&str> = missing.filter(|name| !text.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(all().all(|f| SAMPLE.1.is_multiple_of(f.block_len())));
}

/// All members of a small family, the samples of a large one.
fn shown(family: &'static Family) -> Box<dyn Iterator<Item = FormatRef>> {
    if family.members.len() <= 32 {
        return Box::new(family.members.iter().copied());
    }
    Box::new(family.samples.iter().map(|name| by_name(name).unwrap()))
}

/// `text` with what stands between the marks of table `name` replaced.
fn with_table(text: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- table {name} -->\n"), "<!-- end -->");
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{FILE}: no {begin}"));
    let (_, after) = rest.split_once(end).unwrap_or_else(|| panic!("{FILE}: no {end}"));
    format!("{before}{begin}{table}{end}{after}")
}

fn table(formats: impl Iterator<Item = FormatRef>) -> String {
    let mut text = String::from(
        "| format | bits per weight | block | bytes | GGUF type | encoded on | RMS error | worst |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for format in formats {
        let (rms, worst) = errors(format);
        let per_block = 8.0 * format.block_bytes() as f64 / format.block_len() as f64;
        let header = if format.row_scale() == RowScale::None { "" } else { " + 32/K" };
        let gguf = format.gguf_type().map_or("–".into(), |id| id.to_string());
        let device = if can_encode(format) { "device" } else { "CPU" };
        let _ = writeln!(
            text,
            "| `{}` | {per_block}{header} | {} | {} | {gguf} | {device} | {} | {} |",
            format.name(),
            format.block_len(),
            format.block_bytes(),
            percent(rms),
            percent(worst),
        );
    }
    text
}

fn percent(share: f64) -> String {
    match share {
        0.0 => "0".into(),
        x if x < 1e-4 => format!("{:.0e} %", 100.0 * x),
        x => format!("{:.2} %", 100.0 * x),
    }
}

/// √(Σ(x − x')² / Σx²) over normal weights, and the largest |x − x'| as a share of the largest
/// magnitude among the 256 weights around it.
fn errors(format: FormatRef) -> (f64, f64) {
    let (rows, k) = SAMPLE;
    let weights = normals(rows * k);
    let mut bytes = vec![0; rows * row_bytes(format, k).unwrap()];
    encode_rows(format, k, &weights, &mut bytes).unwrap();
    let mut decoded = vec![0.0; weights.len()];
    decode_rows(format, k, &bytes, &mut decoded).unwrap();
    let (mut error, mut size, mut worst) = (0.0, 0.0, 0.0f64);
    for (x, y) in weights.chunks(256).zip(decoded.chunks(256)) {
        let peak = x.iter().fold(0.0f64, |peak, x| peak.max(f64::from(x.abs())));
        for (x, y) in x.iter().zip(y) {
            let (x, gap) = (f64::from(*x), f64::from(*x) - f64::from(*y));
            error += gap * gap;
            size += x * x;
            worst = worst.max(gap.abs() / peak);
        }
    }
    ((error / size).sqrt(), worst)
}

/// The same normal values on every machine: sums of twelve uniform values, which need no library's
/// logarithm, from a linear congruential generator (Knuth's MMIX).
fn normals(n: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut uniform = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    (0..n).map(|_| ((0..12).map(|_| uniform()).sum::<f64>() - 6.0) as f32).collect()
}
