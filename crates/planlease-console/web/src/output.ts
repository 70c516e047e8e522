// The output of a task as text in the page: the last lines, in few elements, however fast more comes.

/** How many lines are kept: in blocks, of which the oldest goes when there are too many. */
const MAX_BLOCKS = 25;
const BLOCK_LINES = 200;
export const MAX_LINES = MAX_BLOCKS * BLOCK_LINES;

/** How much of a line is kept. */
const MAX_LINE = 2_000;

/** How much text may wait to be drawn; of more the beginning is left out. */
const MAX_WAITING = 2_000_000;

/** What moves a terminal's cursor or colours its text, which a page does not do. */
// biome-ignore lint: control characters are what it is about.
const ESCAPES = /\u001b\[[0-9;:?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b[ -/]*[0-~]/g;
// biome-ignore lint: as above.
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g;

/** A line as it is shown: what a carriage return overwrote is gone, what cannot be seen is visible. */
export function shownLine(line: string): string {
  const ended = line.endsWith('\r') ? line.slice(0, -1) : line;
  const last = ended.slice(ended.lastIndexOf('\r') + 1).replace(ESCAPES, '');
  const cut = last.length > MAX_LINE ? `${last.slice(0, MAX_LINE)} … and ${last.length - MAX_LINE} more characters` : last;
  return cut.replace(CONTROLS, (char) => String.fromCharCode(char === '\u007f' ? 0x2421 : 0x2400 + char.charCodeAt(0)));
}

interface Block {
  element: HTMLElement;
  text: Text;
  lines: number;
}

/** Draws output into an element, at most once per frame. */
export class OutputView {
  private blocks: Block[] = [];
  private rest: HTMLElement;
  private waiting = '';
  private partial = '';
  private frame: number | null = null;

  /** `onDrawn` is called after each frame in which something was drawn, with how many lines there are. */
  constructor(
    private readonly root: HTMLElement,
    private readonly onDrawn: (lines: number) => void,
  ) {
    this.rest = document.createElement('div');
    this.rest.className = 'lines';
    root.append(this.rest);
  }

  /** Output, in pieces of any size. */
  append(text: string): void {
    this.waiting += text;
    if (this.waiting.length > MAX_WAITING) {
      const kept = this.waiting.slice(-MAX_WAITING / 2);
      this.waiting = `${this.partial ? '\n' : ''}[too fast to be shown: lines are left out here]\n${kept.slice(kept.indexOf('\n') + 1)}`;
    }
    this.schedule();
  }

  /** A line of the page's own, between the output. */
  mark(words: string, style = ''): void {
    this.draw();
    this.endLine();
    const block = this.block(`mark ${style}`);
    block.text.data = words;
    block.lines = 1;
    this.bound();
    this.schedule();
  }

  clear(): void {
    for (const { element } of this.blocks) element.remove();
    this.blocks = [];
    this.waiting = this.partial = '';
    this.rest.textContent = '';
    this.schedule();
  }

  stop(): void {
    if (this.frame !== null) cancelAnimationFrame(this.frame);
    this.frame = null;
  }

  private schedule(): void {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
      this.onDrawn(this.blocks.reduce((lines, block) => lines + block.lines, this.partial ? 1 : 0));
    });
  }

  private draw(): void {
    if (!this.waiting) return;
    const lines = (this.partial + this.waiting).split('\n');
    this.waiting = '';
    this.partial = lines.pop() ?? '';
    if (this.partial.length > MAX_LINE * 4) this.partial = this.partial.slice(0, MAX_LINE * 4);
    this.push(lines.length > MAX_LINES ? lines.slice(-MAX_LINES) : lines);
    this.rest.textContent = this.partial ? shownLine(this.partial) : '';
  }

  private endLine(): void {
    if (this.partial) this.push([this.partial]);
    this.partial = '';
    this.rest.textContent = '';
  }

  private push(lines: string[]): void {
    for (let n = 0; n < lines.length; ) {
      let block = this.blocks.at(-1);
      if (!block || block.lines >= BLOCK_LINES || block.element.className !== 'lines') block = this.block('lines');
      const some = lines.slice(n, n + BLOCK_LINES - block.lines);
      block.text.appendData(`${some.map(shownLine).join('\n')}\n`);
      block.lines += some.length;
      n += some.length;
    }
    this.bound();
  }

  private bound(): void {
    let lines = this.blocks.reduce((sum, block) => sum + block.lines, 0);
    while (lines > MAX_LINES && this.blocks.length > 1) {
      const first = this.blocks.shift()!;
      first.element.remove();
      lines -= first.lines;
    }
  }

  private block(style: string): Block {
    const element = document.createElement('div');
    const text = document.createTextNode('');
    element.className = style;
    element.append(text);
    this.root.insertBefore(element, this.rest);
    const block = { element, text, lines: 0 };
    this.blocks.push(block);
    return block;
  }
}
