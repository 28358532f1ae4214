/** Which view is shown. The hash says it, but for Conformance, which has an address of its own. */
import { signal } from '@preact/signals';

export const ROUTES = ['chat', 'bench', 'formats', 'conformance', 'webgpu'] as const;
export type Route = (typeof ROUTES)[number];

const root = document.documentElement.dataset.root ?? './';
const own = document.documentElement.dataset.route as Route | '';

function read(): Route {
  const name = location.hash.replace(/^#\/?/, '').split('?')[0];
  return ROUTES.find((route) => route === name) ?? (own || 'chat');
}

export const route = signal<Route>(read());
addEventListener('hashchange', () => (route.value = read()));

/** The address of a view. On its own page, Conformance needs no hash. */
export function href(to: Route): string {
  if (to === 'conformance') return `${root}conformance/`;
  return own ? `${root}#/${to}` : `#/${to}`;
}
