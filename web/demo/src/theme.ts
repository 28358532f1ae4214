/** The theme: the system's, until one is chosen. */
import { computed, effect, signal } from '@preact/signals';
import { stored } from './stored';

export type Theme = 'system' | 'light' | 'dark';

export const theme = stored<Theme>('theme', 'system', (text) =>
  text === 'light' || text === 'dark' ? text : 'system',
);

const system = matchMedia('(prefers-color-scheme: dark)');
const systemDark = signal(system.matches);
system.addEventListener('change', () => (systemDark.value = system.matches));

/** Whether it is dark now, whoever decided. */
export const dark = computed(() =>
  theme.value === 'system' ? systemDark.value : theme.value === 'dark',
);

effect(() => {
  if (theme.value === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
});

/** The other one; back to the system's where that is the other one. */
export function toggle(): void {
  const next = dark.value ? 'light' : 'dark';
  theme.value = (next === 'dark') === systemDark.value ? 'system' : next;
}
