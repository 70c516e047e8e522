// Light and dark: as the system has it, or as the person chose.

import { useState } from 'preact/hooks';

type Theme = 'system' | 'light' | 'dark';

const NEXT: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' };
const SIGNS: Record<Theme, string> = { system: '◐', light: '○', dark: '●' };

const chosen = (): Theme => {
  const theme = localStorage.getItem('theme');
  return theme === 'light' || theme === 'dark' ? theme : 'system';
};

export function applyTheme(theme: Theme = chosen()): void {
  document.documentElement.dataset.theme = theme;
}

export function ThemeSwitch() {
  const [theme, setTheme] = useState(chosen());
  const change = (): void => {
    const next = NEXT[theme];
    localStorage.setItem('theme', next);
    applyTheme(next);
    setTheme(next);
  };
  return (
    <button type="button" class="icon" aria-label={`Colours: ${theme}`} title={`Colours: ${theme}`} onClick={change}>
      {SIGNS[theme]}
    </button>
  );
}
