//! The net is proven: the comparison must catch what a broken kernel would leave behind.

use libtest_mimic::Trial;

use crate::support::{Expect, Outcome, SENTINEL, compare, gamma};

/// No adapter is needed.
pub fn trials() -> Vec<Trial> {
    let broken: [(&'static str, fn(&mut Vec<u32>)); 10] = [
        ("a perturbed value", |w| w[7] = f32::to_bits(f32::from_bits(w[7]) * (1.0 + 1e-3))),
        ("two values swapped", |w| w.swap(3, 4)),
        ("a value not written", |w| w[0] = SENTINEL),
        ("nothing written", |w| w.fill(SENTINEL)),
        ("all zeros", |w| w.fill(0)),
        ("a NaN", |w| w[2] = f32::NAN.to_bits()),
        ("an infinity", |w| w[2] = f32::INFINITY.to_bits()),
        ("a gap written", |w| w[5] = 0),
        ("a guard written", |w| w[10] = 0),
        ("the last guard written", |w| *w.last_mut().unwrap() = 1.0f32.to_bits()),
    ];
    let mut trials = vec![
        Trial::test("net: what is right passes", || compare("right", &good(), &want())),
        Trial::test("net: words that are missing", || refused(&good()[..8])),
        Trial::test("net: a NaN must be written", || must_be_nan(&[SENTINEL])),
        Trial::test("net: anything must be written", || {
            not(compare("written", &[SENTINEL], &[Expect::Written]))
        }),
        Trial::test("net: a number is no NaN", || must_be_nan(&[0x3f80_0000])),
        Trial::test("net: exact bits", || not(compare("bits", &[0x8000_0000], &[Expect::Bits(0)]))),
    ];
    for (name, breaking) in broken {
        trials.push(Trial::test(format!("net: {name}"), move || {
            let mut words = good();
            breaking(&mut words);
            refused(&words)
        }));
    }
    trials
}

/// Ten words of results with a gap at 5, and six guards.
fn good() -> Vec<u32> {
    let mut words: Vec<u32> = (1..=10).map(|i| (i as f32).to_bits()).collect();
    words[5] = SENTINEL;
    words.extend([SENTINEL; 6]);
    words
}

fn want() -> Vec<Expect> {
    let near = |i: u8| Expect::Near(f64::from(i), gamma(100) * f64::from(i));
    let mut want: Vec<_> = (1..=10).map(near).collect();
    want[5] = Expect::Untouched;
    want
}

fn refused(words: &[u32]) -> Outcome {
    not(compare("broken", words, &want()))
}

fn must_be_nan(words: &[u32]) -> Outcome {
    not(compare("nan", words, &[Expect::Nan]))
}

fn not(outcome: Outcome) -> Outcome {
    match outcome {
        Ok(()) => Err("the comparison let it pass".into()),
        Err(_) => Ok(()),
    }
}
