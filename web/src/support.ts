/** Whether this browser can run models. */
import type { Support } from './types.js';

export async function support(): Promise<Support> {
  if (!globalThis.isSecureContext) {
    const message = 'WebGPU needs a secure page: https:, or localhost';
    return { supported: false, reason: 'insecure', message };
  }
  if (!navigator.gpu) {
    return { supported: false, reason: 'no-webgpu', message: 'this browser has no WebGPU' };
  }
  if (typeof Worker === 'undefined') {
    return { supported: false, reason: 'no-worker', message: 'this page cannot start Workers' };
  }
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) {
    const message = 'this browser has WebGPU, but offers no adapter: its GPU or driver is blocked';
    return { supported: false, reason: 'no-adapter', message };
  }
  return { supported: true, adapter: describe(adapter) };
}

/** What a browser tells of an adapter. */
export function describe(adapter: GPUAdapter) {
  const { vendor, architecture, description, isFallbackAdapter = false } = adapter.info;
  return {
    name: description || [vendor, architecture].filter(Boolean).join(' ') || 'WebGPU',
    vendor,
    architecture,
    description,
    software: isFallbackAdapter,
    f16: adapter.features.has('shader-f16'),
    subgroups: adapter.features.has('subgroups'),
    maxBufferSize: adapter.limits.maxBufferSize,
    maxBindingSize: adapter.limits.maxStorageBufferBindingSize,
  };
}
