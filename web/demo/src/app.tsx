/** The frame around the views: skip link, navigation, theme, and the view of the route. */
import type { ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { type Route, href, route } from './router';
import { support } from './support';
import { dark, toggle } from './theme';
import { Announcer } from './ui/announce';
import { Failure } from './ui/failure';

type View = { default: ComponentType };

/** Each a module that is fetched when it is asked for. */
const VIEWS: Record<Route, () => Promise<View>> = {
  chat: () => import('./chat/view'),
  bench: () => import('./bench/view'),
  formats: () => import('./formats/view'),
  conformance: () => import('./conformance/view'),
  webgpu: () => import('./no_webgpu/view'),
};

const TITLES: Record<Route, string> = {
  chat: 'Chat',
  bench: 'Bench',
  formats: 'Formats',
  conformance: 'Conformance',
  webgpu: 'WebGPU',
};

const LINKS: Route[] = ['chat', 'bench', 'formats', 'conformance'];

/** Number formats are computed without a GPU; the rest needs one. */
const needsGpu = (to: Route) => to !== 'formats' && to !== 'webgpu';

export function App() {
  const answer = support.value;
  const shown: Route = answer?.supported === false && needsGpu(route.value) ? 'webgpu' : route.value;
  return (
    <div class={`frame frame-${shown}`}>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <Header />
      <main id="main" tabIndex={-1}>
        <Outlet shown={shown} />
      </main>
      <Announcer />
    </div>
  );
}

function skip(event: Event): void {
  // The hash is the route's: move the focus, leave the address.
  event.preventDefault();
  document.getElementById('main')?.focus();
}

function Header() {
  return (
    <header class="top">
      <a class="brand" href={href('chat')} aria-label="Mantissa, to the chat">
        <Mark /> <span>Mantissa</span>
      </a>
      <nav aria-label="Views">
        {LINKS.map((to) => (
          <a key={to} href={href(to)} aria-current={route.value === to ? 'page' : undefined}>
            {TITLES[to]}
          </a>
        ))}
      </nav>
      <button class="icon" type="button" aria-label="Dark theme" aria-pressed={dark.value} onClick={toggle}>
        <svg viewBox="0 0 20 20" aria-hidden="true">
          <circle cx="10" cy="10" r="7" fill="none" stroke="currentColor" stroke-width="1.6" />
          <path d="M10 3a7 7 0 0 1 0 14z" fill="currentColor" />
        </svg>
      </button>
    </header>
  );
}

function Mark() {
  return (
    <svg viewBox="0 0 28 20" aria-hidden="true">
      <rect x="0" y="1" width="5" height="18" rx="1.5" />
      <rect x="7.5" y="6" width="5" height="13" rx="1.5" opacity=".8" />
      <rect x="15" y="11" width="5" height="8" rx="1.5" opacity=".6" />
      <rect x="22.5" y="15" width="5" height="4" rx="1.5" opacity=".4" />
    </svg>
  );
}

function Outlet({ shown }: { shown: Route }) {
  const [loaded, setLoaded] = useState<{ of: Route; view?: View; error?: unknown }>();
  const first = useRef(true);
  useEffect(() => {
    document.title = shown === 'chat' ? 'Mantissa' : `${TITLES[shown]} · Mantissa`;
    let current = true;
    VIEWS[shown]().then(
      (view) => current && setLoaded({ of: shown, view }),
      (error) => current && setLoaded({ of: shown, error }),
    );
    return () => void (current = false);
  }, [shown]);
  useEffect(() => {
    if (loaded?.of !== shown) return;
    // A new view begins at its heading, for those who do not see it change.
    if (!first.current) document.querySelector<HTMLElement>('main h1')?.focus();
    first.current = false;
  }, [loaded]);

  if (loaded?.of !== shown) return <p class="loading" role="status">Loading…</p>;
  if (!loaded.view) {
    return <Failure words={{ what: 'This view did not load.', advice: 'Check the connection and reload the page.' }} />;
  }
  const Shown = loaded.view.default;
  return <Shown />;
}
