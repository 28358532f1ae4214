//! Native programs: Vulkan, Metal, DX12; files, threads, clocks.
