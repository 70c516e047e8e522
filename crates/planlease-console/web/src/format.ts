// Numbers, times and words as people read them.

/** A length of time: `4 s`, `12 min`, `3 h 20 min`, `2 d 4 h`. */
export function duration(seconds: number): string {
  const s = Math.max(0, seconds);
  if (s < 10) return `${(Math.floor(s * 10) / 10).toFixed(s < 1 ? 1 : 0)} s`;
  if (s < 100) return `${Math.floor(s)} s`;
  const minutes = Math.floor(s / 60);
  if (minutes < 100) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
}

/** How long ago a time was, in words that do not change every moment. */
export function ago(time: string | null, now: number): string {
  if (!time) return 'at an unknown time';
  const seconds = (now - Date.parse(time)) / 1000;
  return seconds < 2 ? 'just now' : `${duration(seconds)} ago`;
}

/** For how long something has gone on. */
export function since(time: string, now: number): string {
  return duration((now - Date.parse(time)) / 1000);
}

export function clock(time: number | string): string {
  return new Date(time).toLocaleTimeString([], { hour12: false });
}

export function counted(n: number, noun: string): string {
  return `${n.toLocaleString('en')} ${noun}${n === 1 ? '' : 's'}`;
}

/** A word of a command line, quoted where a shell needs it. */
export function quoted(word: string): string {
  return /^[A-Za-z0-9_./:@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** A command line. */
export function command(...words: string[]): string {
  return words.map(quoted).join(' ');
}

/** Texts of others may be long, and may turn the direction of what stands beside them: bounded, and isolated by CSS. */
export function short(text: string, most = 400): string {
  return text.length > most ? `${text.slice(0, most)} …` : text;
}

/** Orders ids as people do: 2 before 10. */
const collator = new Intl.Collator('en', { numeric: true });
export const byId = (a: string, b: string): number => collator.compare(a, b);
