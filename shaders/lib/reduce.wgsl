// Reductions over a workgroup of LANES lanes (a power of two), for devices without subgroups: a
// tree in workgroup memory, in a fixed order. Every lane of the workgroup must call them, and gets
// the result; they may be called again at once.

var<workgroup> reduce_scratch: array<f32, LANES>;

fn reduce_sum(lane: u32, x: f32) -> f32 {
    reduce_scratch[lane] = x;
    workgroupBarrier();
    for (var n = LANES / 2u; n > 0u; n /= 2u) {
        if lane < n {
            reduce_scratch[lane] += reduce_scratch[lane + n];
        }
        workgroupBarrier();
    }
    let sum = reduce_scratch[0];
    workgroupBarrier();
    return sum;
}

fn reduce_max(lane: u32, x: f32) -> f32 {
    reduce_scratch[lane] = x;
    workgroupBarrier();
    for (var n = LANES / 2u; n > 0u; n /= 2u) {
        if lane < n {
            reduce_scratch[lane] = max(reduce_scratch[lane], reduce_scratch[lane + n]);
        }
        workgroupBarrier();
    }
    let most = reduce_scratch[0];
    workgroupBarrier();
    return most;
}
