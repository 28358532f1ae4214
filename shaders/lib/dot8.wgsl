// acc + the products of eight weights with eight values of x. Software drivers fuse a multiply-add
// only where it is asked for.
fn dot8(acc: f32, w: Vec8, lo: vec4<f32>, hi: vec4<f32>) -> f32 {
    let front = fma(w.lo.w, lo.w, fma(w.lo.z, lo.z, fma(w.lo.y, lo.y, fma(w.lo.x, lo.x, acc))));
    return fma(w.hi.w, hi.w, fma(w.hi.z, hi.z, fma(w.hi.y, hi.y, fma(w.hi.x, hi.x, front))));
}
