//! The sampler against probabilities computed here in f64, from their definitions and with sorting.

use mantissa::Error;
use mantissa::model::sampler::{Sampler, SamplerOptions};
use mantissa::ops::sample::{self, Choice};
use mantissa::ops::top_k;
use proptest::prelude::*;

/// Everything off: a draw from softmax(logits).
fn plain(seed: u64) -> SamplerOptions {
    SamplerOptions {
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        repeat_penalty: 1.0,
        repeat_last_n: 64,
        seed,
    }
}

fn softmax(logits: &[(usize, f64)], temperature: f64) -> Vec<(usize, f64)> {
    let best = logits.iter().map(|l| l.1).fold(f64::NEG_INFINITY, f64::max);
    let exp = |l: f64| ((l - best) / temperature).exp();
    let sum: f64 = logits.iter().map(|l| exp(l.1)).sum();
    logits.iter().map(|&(id, l)| (id, exp(l) / sum)).collect()
}

/// The probability of each token, by llama.cpp's chain done the plain way.
fn probabilities(logits: &[f32], recent: &[u32], o: &SamplerOptions) -> Vec<f64> {
    let mut kept: Vec<_> = logits.iter().map(|&l| f64::from(l)).enumerate().collect();
    let window = &recent[recent.len().saturating_sub(o.repeat_last_n)..];
    for (id, logit) in &mut kept {
        if window.contains(&(*id as u32)) {
            let penalty = f64::from(o.repeat_penalty);
            *logit = if *logit <= 0.0 { *logit * penalty } else { *logit / penalty };
        }
    }
    kept.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    if o.top_k > 0 {
        kept.truncate(o.top_k);
    }
    if o.top_p < 1.0 {
        let mut sum = 0.0;
        let reached = softmax(&kept, 1.0).iter().position(|p| {
            sum += p.1;
            sum >= f64::from(o.top_p)
        });
        kept.truncate(reached.map_or(kept.len(), |i| i + 1));
    }
    let best = softmax(&kept, 1.0)[0].1;
    let likely = softmax(&kept, 1.0);
    kept.retain(|k| likely.iter().any(|l| l.0 == k.0 && l.1 >= f64::from(o.min_p) * best));
    let mut p = vec![0.0; logits.len()];
    for (id, probability) in softmax(&kept, f64::from(o.temperature)) {
        p[id] = probability;
    }
    p
}

/// Draws many times by the host's sampler, and, where it can, as the device does.
fn check(logits: &[f32], recent: &[u32], options: SamplerOptions) {
    let expected = probabilities(logits, recent, &options);
    let mut sampler = Sampler::new(options.clone()).unwrap();
    compare(&expected, |_| sampler.sample(&mut logits.to_vec(), recent).unwrap());
    if options.top_k > 0 && options.repeat_penalty == 1.0 {
        check_device(logits, &options);
    }
}

/// Draws by the device's reference, which the device equals bit for bit (tests/gpu/sample.rs).
fn check_device(logits: &[f32], o: &SamplerOptions) {
    let choice = Choice::new(o.seed, o.top_k, o.top_p, o.min_p, o.temperature);
    let (bits, places) = top_k::reference(logits, o.top_k);
    let expected = probabilities(logits, &[], o);
    compare(&expected, |i| sample::reference(&choice, (&bits, &places), i as u32));
}

/// Compares the counts of many draws with `expected` by Pearson's χ².
fn compare(expected: &[f64], mut draw: impl FnMut(usize) -> u32) {
    const DRAWS: usize = 40_000;
    let mut counts = vec![0usize; expected.len()];
    for i in 0..DRAWS {
        counts[draw(i) as usize] += 1;
    }
    let (mut chi2, mut freedom) = (0.0, -1.0);
    for (id, (&count, &p)) in counts.iter().zip(expected).enumerate() {
        assert!(p > 0.0 || count == 0, "token {id} was filtered out, but drawn");
        if p > 0.0 {
            let mean = p * DRAWS as f64;
            chi2 += (count as f64 - mean).powi(2) / mean;
            freedom += 1.0;
        }
    }
    // χ² has mean f and variance 2f: eight standard deviations. The seed is fixed, so this is not
    // chance from run to run; a filter that is off by one token of 1 % adds 400.
    let limit = freedom + 8.0 * f64::max(2.0 * freedom, 1.0).sqrt();
    assert!(chi2 <= limit, "χ² {chi2} above {limit}; counts {counts:?}, expected {expected:?}");
}

/// Twelve logits whose probabilities lie between 0.3 % and 30 %, not in order.
const LOGITS: [f32; 12] = [0.5, 2.0, -1.0, 1.5, 0.0, 2.5, -2.0, 1.0, 0.25, -0.5, 1.75, 2.25];

#[test]
fn the_distribution_is_softmax() {
    check(&LOGITS, &[], plain(1));
    check(&[0.0; 7], &[], plain(2));
    check(&[3.0], &[], plain(3));
    check(&[f32::NEG_INFINITY, 1.0, f32::NEG_INFINITY, 0.0], &[], plain(4));
}

#[test]
fn temperature_flattens_and_sharpens() {
    for temperature in [0.3, 0.7, 1.5, 10.0] {
        check(&LOGITS, &[], SamplerOptions { temperature, ..plain(5) });
    }
}

#[test]
fn filters_keep_exactly_what_they_should() {
    for top_k in [1, 2, 5, 11, 12, 100] {
        check(&LOGITS, &[], SamplerOptions { top_k, ..plain(6) });
    }
    for top_p in [1e-6, 0.25, 0.5, 0.77, 0.95, 0.999] {
        check(&LOGITS, &[], SamplerOptions { top_p, ..plain(7) });
    }
    for min_p in [0.01, 0.1, 0.5, 0.9, 1.0] {
        check(&LOGITS, &[], SamplerOptions { min_p, ..plain(8) });
    }
}

/// The device's filters, each at the same points, on candidates that are all there are.
#[test]
fn the_device_draws_by_the_same_probabilities() {
    let all = SamplerOptions { top_k: 12, ..plain(10) };
    for temperature in [0.3, 1.0, 1.5, 10.0] {
        check_device(&LOGITS, &SamplerOptions { temperature, ..all.clone() });
    }
    for top_p in [1e-6, 0.25, 0.5, 0.77, 0.95, 0.999] {
        check_device(&LOGITS, &SamplerOptions { top_p, ..all.clone() });
    }
    for min_p in [0.01, 0.1, 0.5, 0.9, 1.0] {
        check_device(&LOGITS, &SamplerOptions { min_p, ..all.clone() });
    }
    check_device(&[0.0; 256], &SamplerOptions { top_k: 256, ..plain(11) });
    check_device(&[f32::NEG_INFINITY, 1.0, 0.0], &SamplerOptions { top_k: 3, ..plain(12) });
    let chain = SamplerOptions { temperature: 2.0, top_k: 8, top_p: 0.9, min_p: 0.12, ..all };
    check_device(&LOGITS, &chain);
}

/// Held for good, like the host's draws; by Threefry and float64 (tests/golden/make_draws.py), none of
/// them nearer than 0.002 to the next token's share.
#[test]
fn the_devices_draws_are_held() {
    let choice = Choice::new(42, 12, 1.0, 0.0, 1.0);
    let (bits, places) = top_k::reference(&LOGITS, 12);
    let draw = |at| sample::reference(&choice, (&bits, &places), at);
    assert_eq!((0..16).map(draw).collect::<Vec<_>>(), FROZEN_DEVICE);
}

const FROZEN_DEVICE: [u32; 16] = [7, 5, 1, 5, 10, 11, 7, 1, 5, 9, 5, 5, 10, 11, 11, 11];

#[test]
fn the_chain_runs_in_order() {
    let all = SamplerOptions {
        temperature: 2.0,
        top_k: 8,
        top_p: 0.9,
        min_p: 0.12,
        repeat_penalty: 1.3,
        repeat_last_n: 3,
        seed: 9,
    };
    check(&LOGITS, &[], all.clone());
    check(&LOGITS, &[5, 11, 1, 5, 2], all.clone());
    check(&LOGITS, &[5, 5, 5], SamplerOptions { repeat_penalty: 0.5, ..all });
}

#[test]
fn only_the_last_tokens_are_penalised_and_each_once() {
    let options =
        SamplerOptions { repeat_penalty: 2.0, repeat_last_n: 3, ..SamplerOptions::greedy() };
    let mut sampler = Sampler::new(options).unwrap();
    let mut logits = [4.0, 3.0, -1.0, 0.5];
    // Token 0 is out of the window; 1 and 2 are in it, 1 twice.
    assert_eq!(sampler.sample(&mut logits, &[0, 1, 2, 1]).unwrap(), 0);
    assert_eq!(logits, [4.0, 1.5, -2.0, 0.5]);
    let mut off = Sampler::new(SamplerOptions {
        repeat_penalty: 2.0,
        repeat_last_n: 0,
        ..SamplerOptions::greedy()
    })
    .unwrap();
    assert_eq!(off.sample(&mut logits, &[0, 0]).unwrap(), 0);
    assert_eq!(logits[0], 4.0);
}

#[test]
fn greedy_takes_the_first_best() {
    let mut greedy = Sampler::new(SamplerOptions::greedy()).unwrap();
    assert_eq!(greedy.sample(&mut [1.0, 3.0, 3.0, 2.0], &[]).unwrap(), 1);
    assert_eq!(greedy.sample(&mut [0.0; 5], &[]).unwrap(), 0);
    assert_eq!(greedy.sample(&mut [-0.0, 0.0], &[]).unwrap(), 0);
    assert_eq!(greedy.sample(&mut [f32::NEG_INFINITY, f32::MIN], &[]).unwrap(), 1);
}

#[test]
fn a_seed_decides_everything() {
    let draw = |seed| {
        let mut sampler = Sampler::new(plain(seed)).unwrap();
        (0..64).map(|_| sampler.sample(&mut LOGITS.to_vec(), &[]).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(draw(42), draw(42));
    assert_ne!(draw(42), draw(43));
    // Held for good: a change of the generator or of the draw would change users' texts.
    assert_eq!(draw(42)[..16], FROZEN);
}

#[test]
fn a_place_has_its_own_number() {
    let draw = |sampler: &mut Sampler| sampler.sample(&mut LOGITS.to_vec(), &[]).unwrap();
    let mut sampler = Sampler::new(plain(42)).unwrap();
    for place in [3, 15, 0, 3, 7] {
        sampler.seek(place);
        assert_eq!(draw(&mut sampler), FROZEN[place], "{place}");
    }
    // What follows is the next place's.
    assert_eq!(draw(&mut sampler), FROZEN[8]);
}

const FROZEN: [u32; 16] = [10, 11, 5, 7, 3, 1, 4, 11, 10, 3, 5, 11, 11, 7, 10, 1];

#[test]
fn rows_without_an_answer_are_errors() {
    let nan = f32::NAN;
    let none = f32::NEG_INFINITY;
    for options in [plain(0), SamplerOptions::greedy(), SamplerOptions::default()] {
        let mut sampler = Sampler::new(options).unwrap();
        for bad in [vec![], vec![none; 4], vec![1.0, nan], vec![f32::INFINITY, 0.0]] {
            let error = sampler.sample(&mut bad.clone(), &[0, 0, 0]).unwrap_err();
            assert!(matches!(error, Error::NotFinite { position: 2 }), "{bad:?}: {error}");
        }
    }
    let penalty = SamplerOptions { repeat_penalty: 1.1, ..plain(0) };
    let error = Sampler::new(penalty).unwrap().sample(&mut [0.0; 4], &[4]).unwrap_err();
    assert!(matches!(error, Error::Token { id: 4, vocabulary: 4 }));
}

#[test]
fn options_out_of_range_are_named() {
    let nan = f32::NAN;
    let bad = [
        ("temperature", vec![-0.1, nan, f32::INFINITY]),
        ("top_p", vec![0.0, -1.0, 1.01, nan]),
        ("min_p", vec![-0.1, 1.01, nan]),
        ("repeat_penalty", vec![0.0, -1.0, nan, f32::INFINITY]),
    ];
    for (name, values) in bad {
        for value in values {
            let mut options = SamplerOptions::default();
            *match name {
                "temperature" => &mut options.temperature,
                "top_p" => &mut options.top_p,
                "min_p" => &mut options.min_p,
                _ => &mut options.repeat_penalty,
            } = value;
            match Sampler::new(options) {
                Err(Error::InvalidOption { name: named, .. }) => assert_eq!(named, name),
                other => panic!("{name} {value}: {other:?}"),
            }
        }
    }
}

fn logits() -> impl Strategy<Value = Vec<f32>> {
    let logit = prop_oneof![
        8 => -20.0f32..20.0,
        1 => Just(f32::NEG_INFINITY),
        1 => prop_oneof![Just(0.0f32), Just(-0.0), Just(f32::MAX), Just(f32::MIN), Just(1e-40)],
    ];
    prop::collection::vec(logit, 1..200)
}

proptest! {
    /// Any valid options give a token that the chain, done the plain way, has not ruled out.
    #[test]
    fn what_is_drawn_was_possible(
        logits in logits(), temperature in 0.0f32..3.0, top_k in 0usize..250, top_p in 0.001f32..=1.0,
        min_p in 0.0f32..=1.0, repeat_penalty in 0.5f32..2.0, repeat_last_n in 0usize..10, seed: u64,
        recent in prop::collection::vec(0u32..200, 0..20),
    ) {
        let recent: Vec<u32> = recent.into_iter().filter(|&id| (id as usize) < logits.len()).collect();
        let options = SamplerOptions {
            temperature, top_k, top_p, min_p, repeat_penalty, repeat_last_n, seed,
        };
        let mut changed = logits.clone();
        let drawn = Sampler::new(options.clone()).unwrap().sample(&mut changed, &recent);
        if logits.iter().all(|l| *l == f32::NEG_INFINITY) {
            prop_assert!(drawn.is_err());
            return Ok(());
        }
        let drawn = drawn.unwrap() as usize;
        prop_assert!(changed[drawn] > f32::NEG_INFINITY);
        // The filters, on the penalised logits that the sampler left behind (f32 as it sees them).
        // Each threshold is given the slack of f32 and of summation: 1e-4 in probability.
        let better = changed.iter().filter(|l| **l > changed[drawn]).count();
        prop_assert!(top_k == 0 || better < top_k);
        let p = softmax(&changed.iter().map(|&l| f64::from(l)).enumerate().collect::<Vec<_>>(), 1.0);
        let above: f64 = p.iter().filter(|q| q.1 > p[drawn].1).map(|q| q.1).sum();
        prop_assert!(top_k != 0 || above < f64::from(top_p) + 1e-4);
        let best = p.iter().map(|q| q.1).fold(0.0, f64::max);
        prop_assert!(p[drawn].1 >= f64::from(min_p) * best * (1.0 - 1e-4));
    }
}
