/** No WebGPU: that it is so, why, and what can be done in this browser. */
import type { ComponentChildren } from 'preact';
import type { Support } from '../engine';
import { href } from '../router';
import { type Browser, browser, onLinux, support } from '../support';
import '../styles/pages.css';

type Reason = Extract<Support, { supported: false }>['reason'];

const REASONS: Record<Reason, string> = {
  'no-webgpu': 'This browser does not offer WebGPU',
  insecure: 'This page did not come over a secure connection',
  'no-adapter': 'The browser has WebGPU, but offers no GPU',
  'no-worker': 'The page could not start its worker',
};

const WHY: Record<Reason, ComponentChildren> = {
  'no-webgpu': (
    <p>
      It is too old, WebGPU is not finished for this system, or it is switched off. What to do depends
      on the browser:
    </p>
  ),
  insecure: (
    <p>
      Browsers offer WebGPU on <code>https:</code> and on <code>localhost</code> only. Open this page
      under such an address.
    </p>
  ),
  'no-adapter': (
    <p>
      Graphics acceleration may be switched off in the browser's settings, the GPU's driver may be on
      the browser's list of drivers with faults, or this machine has no GPU that WebGPU can use. Update
      the driver first. Then, by browser:
    </p>
  ),
  'no-worker': <p>Reload the page. If it stays so, an extension or a content policy may block workers.</p>,
};

const BROWSERS: Exclude<Browser, 'other'>[] = ['chromium', 'firefox', 'safari'];

const NAMES: Record<Browser, string> = {
  chromium: 'Chrome, Edge and other Chromium browsers',
  firefox: 'Firefox',
  safari: 'Safari',
  other: 'Other browsers',
};

export default function NoWebGpu() {
  const answer = support.value;
  if (answer === undefined) return <p class="loading" role="status">Asking the browser…</p>;
  if (answer.supported) {
    return (
      <div class="page narrow">
        <h1 tabIndex={-1}>WebGPU works here</h1>
        <p class="lead">
          This browser offers {answer.adapter.description || answer.adapter.name || answer.adapter.vendor}.
        </p>
        <p>
          <a href={href('chat')}>To the chat</a>
        </p>
      </div>
    );
  }
  const own = browser();
  const order = BROWSERS.filter((b) => b === own).concat(BROWSERS.filter((b) => b !== own));
  return (
    <div class="page narrow">
      <h1 tabIndex={-1}>No WebGPU here</h1>
      <p class="lead">
        {REASONS[answer.reason]}. Models run on the GPU through WebGPU, so chat, bench and conformance
        cannot work; <a href={href('formats')}>Formats</a> can.
      </p>
      <h2>Why</h2>
      <p class="reason">{answer.message}</p>
      {WHY[answer.reason]}
      {order.map((name) => (
        <details key={name} open={name === own || own === 'other'} class="advice">
          <summary>
            {NAMES[name]}
            {name === own && <span class="tag">this one</span>}
          </summary>
          <ul>{ADVICE[name]}</ul>
        </details>
      ))}
      <p>
        <button type="button" class="primary" onClick={() => location.reload()}>
          Try again
        </button>
      </p>
    </div>
  );
}

const linuxFirst = onLinux();

// Versions: MDN's browser-compat-data 8.1.9 (November 2026), api.GPU and api.WorkerNavigator.gpu.
const ADVICE: Record<Exclude<Browser, 'other'>, ComponentChildren> = {
  chromium: (
    <>
      <li>Version 113 or later on Windows, macOS and ChromeOS; 121 or later on Android.</li>
      <li>
        On Linux{linuxFirst ? ' (this looks like Linux)' : ''} version 144 or later, with an Intel GPU of
        generation 12 or later. With other GPUs, set <code>chrome://flags/#enable-unsafe-webgpu</code> and{' '}
        <code>chrome://flags/#enable-vulkan</code> to Enabled, and restart.
      </li>
      <li>Settings, System: “Use graphics acceleration when available” must be on.</li>
      <li>
        <code>chrome://gpu</code> says whether the driver is on the blocklist. If it is,{' '}
        <code>chrome://flags/#ignore-gpu-blocklist</code> overrules it, at your own risk.
      </li>
    </>
  ),
  firefox: (
    <>
      <li>
        Version 141 or later on Windows; on Macs with Apple silicon 145 or later with macOS 26, 147 or later
        with an older macOS; not on Macs with Intel processors.
      </li>
      <li>
        On Linux{linuxFirst ? ' (this looks like Linux)' : ''} and Android it is not switched on yet: set{' '}
        <code>dom.webgpu.enabled</code> to true in <code>about:config</code>, and restart.
      </li>
      <li>
        If there is WebGPU but no GPU, <code>about:support</code> says why, under Graphics;{' '}
        <code>gfx.webgpu.ignore-blocklist</code> overrules the blocklist, at your own risk.
      </li>
    </>
  ),
  safari: (
    <>
      <li>Safari 26 or later: macOS 26, iOS 26, iPadOS 26, visionOS 26.</li>
      <li>Earlier: Settings, Advanced, “Show features for web developers”, then Feature Flags, WebGPU.</li>
      <li>All browsers on iOS use Safari's engine: there, the version of iOS decides.</li>
    </>
  ),
};
