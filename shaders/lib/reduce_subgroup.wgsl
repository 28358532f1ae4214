// The reductions of lib/reduce.wgsl with subgroup operations: each subgroup reduces itself, then
// every subgroup reduces the partial results. Neither a subgroup size nor an order of lanes within
// the workgroup is assumed: a partial result lies at its leader's lane, and the second stage walks
// all lanes in a fixed order, so that a device always gives the same bits.

var<workgroup> reduce_partial: array<f32, LANES>;

fn reduce_sum(lane: u32, x: f32) -> f32 {
    let partial = subgroupAdd(x);
    let place = subgroupExclusiveAdd(1u);
    let size = subgroupAdd(1u);
    reduce_partial[lane] = select(0.0, partial, place == 0u);
    workgroupBarrier();
    var mine = 0.0;
    for (var i = place; i < LANES; i += size) {
        mine += reduce_partial[i];
    }
    let sum = subgroupAdd(mine);
    workgroupBarrier();
    return sum;
}

fn reduce_max(lane: u32, x: f32) -> f32 {
    reduce_partial[lane] = subgroupMax(x);
    workgroupBarrier();
    let size = subgroupAdd(1u);
    var mine = reduce_partial[lane];
    for (var i = subgroupExclusiveAdd(1u); i < LANES; i += size) {
        mine = max(mine, reduce_partial[i]);
    }
    let most = subgroupMax(mine);
    workgroupBarrier();
    return most;
}
