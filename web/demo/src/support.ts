/** Whether this browser can do it, and which browser it is. */
import { signal } from '@preact/signals';
import { engine, type Support } from './engine';

/** `undefined` while it is being asked. */
export const support = signal<Support | undefined>(undefined);

export async function askSupport(): Promise<void> {
  const missing = quickly();
  support.value = missing ?? (await askEngine());
}

/** What is seen without starting anything. */
function quickly(): Support | undefined {
  if (!isSecureContext) {
    const message = `WebGPU is offered on https: and localhost only; this page came from ${location.origin}.`;
    return { supported: false, reason: 'insecure', message };
  }
  if (!('gpu' in navigator)) {
    const message = 'This browser does not offer WebGPU here (there is no navigator.gpu).';
    return { supported: false, reason: 'no-webgpu', message };
  }
  return undefined;
}

async function askEngine(): Promise<Support> {
  try {
    return await engine.support();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { supported: false, reason: 'no-worker', message };
  }
}

export type Browser = 'chromium' | 'firefox' | 'safari' | 'other';

export function browser(agent = navigator.userAgent): Browser {
  if (/Firefox|FxiOS/.test(agent) && !/Seamonkey/.test(agent)) return 'firefox';
  if (/Chrome|Chromium|CriOS|Edg/.test(agent)) return 'chromium';
  if (/Safari/.test(agent)) return 'safari';
  return 'other';
}

export const onLinux = (agent = navigator.userAgent) =>
  /Linux|X11/.test(agent) && !/Android|CrOS/.test(agent);
