use std::time::Instant;
use mantissa::gpu::*; use mantissa::Gpu; use pollster::block_on;
fn main() {
    let gpu = block_on(Gpu::request(&GpuOptions::default())).unwrap();
    let n: u32 = 1<<18; // vec4s
    let x = block_on(Buffer::from_slice(&gpu, "x", &vec![0.5f32; (n*4) as usize])).unwrap();
    let y = block_on(Buffer::new(&gpu, "y", (n*4) as usize)).unwrap();
    let bodies: Vec<(&str, String)> = vec![
        ("copy", "y[i] = x[i];".into()),
        ("read", "acc = max(acc, x[i]);".into()),
        ("mul8", "var t = bitcast<vec4<f32>>(x[i]); for (var k = 0; k < 8; k++) { t = t * 1.01 + 0.3; } y[i] = bitcast<vec4<u32>>(t);".into()),
        ("mul16", "var t = bitcast<vec4<f32>>(x[i]); for (var k = 0; k < 16; k++) { t = t * 1.01 + 0.3; } y[i] = bitcast<vec4<u32>>(t);".into()),
        ("round", "var t = bitcast<vec4<f32>>(x[i]); t = round(t * 1.44);  y[i] = bitcast<vec4<u32>>(t);".into()),
        ("round2", "var t = bitcast<vec4<f32>>(x[i]); t = (t * 1.44 + 12582912.0) - 12582912.0;  y[i] = bitcast<vec4<u32>>(t);".into()),
        ("exp2int", "var t = bitcast<vec4<f32>>(x[i]); t = t * bitcast<vec4<f32>>(bitcast<vec4<u32>>(bitcast<vec4<f32>>(min(bitcast<vec4<u32>>(t), vec4<u32>(0xc2fe0000u))) + 12583039.0) << vec4<u32>(23u));  y[i] = bitcast<vec4<u32>>(t);".into()),
        ("fmax", "var t = bitcast<vec4<f32>>(x[i]); t = max(t, t.wxyz*2.0);  y[i] = bitcast<vec4<u32>>(t);".into()),
        ("pairexp", "var t = bitcast<vec4<f32>>(x[i]); let n = round(t * LOG2_E); t = ((t - n * LN2_1) - n * LN2_2) - n * LN2_3; t = exp_polynomial(t);  y[i] = bitcast<vec4<u32>>(t+n);".into()),
        ("weight", "let p = pair_exp4(bitcast<vec4<f32>>(x[i])); y[i] = bitcast<vec4<u32>>((p.v*0.3)*exp2_int4(p.e-3.0));".into()),
    ];
    let ext = mantissa::ops::EXTEXP.text;
    let mut plans = vec![];
    for (name, body) in bodies {
        let text: &'static str = Box::leak(format!("override LANES: u32 = 8u;
struct Params {{ n: u32, each: u32 }}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<u32>>;
@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {{
    let stop = min(params.n, (group.x + 1u) * params.each); var acc = vec4<u32>();
    for (var i = group.x * params.each + lane; i < stop; i += LANES) {{ {body} }}
    if acc.x == 77u {{ y[0] = acc; }}
}}\n").into_boxed_str());
        let parts: &'static [Part] = Box::leak(vec![Part{path:"p",text}, Part{path:"e",text:ext}].into_boxed_slice());
        let op: &'static Op = Box::leak(Box::new(Op { name, parts, packed:false, reduces:false,
            bindings: &[Binding{name:"x",access:Access::Read},Binding{name:"y",access:Access::Write}], params: ParamsInfo{size:8,fields:&[("n",0),("each",4)]} }));
        let mut plan = PlanBuilder::new(&gpu, name);
        for _ in 0..10 { plan.dispatch(op, Variant::default(), &[n, 2048u32], &[&x,&y], [n.div_ceil(2048),1,1]).unwrap(); }
        plans.push((name, block_on(plan.build(&mut |_,_|{})).unwrap(), vec![]));
    }
    for _ in 0..15 { for (_, plan, t) in plans.iter_mut() { let b = Instant::now(); block_on(plan.submit().unwrap().finish()).unwrap(); t.push(b.elapsed().as_secs_f64()*1e9/(10.0*n as f64*4.0)); } }
    for (name, _, mut t) in plans { t.sort_by(f64::total_cmp); eprintln!("{name:10} median {:.2} ns/elem  best {:.2}", t[7], t[0]); }
}
