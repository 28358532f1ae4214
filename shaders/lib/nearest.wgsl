// The sampler that takes the nearest texel: at the same place in every kernel (src/gpu/texels.rs).

@group(0) @binding(15) var nearest: sampler;
