// Server-sent events, read from bytes as they come.

export interface ServerEvent {
  name: string;
  id: string;
  data: string;
}

/** Splits a stream into events. Lines end with LF here, and only there: a text may hold U+2028. */
export class EventReader {
  private readonly decoder = new TextDecoder();
  private rest = '';
  private searched = 0;

  constructor(
    private readonly onEvent: (event: ServerEvent) => void,
    private readonly onHeard: () => void,
  ) {}

  push(bytes: Uint8Array): void {
    this.onHeard();
    this.rest += this.decoder.decode(bytes, { stream: true });
    let begin = 0;
    for (;;) {
      const end = this.rest.indexOf('\n\n', Math.max(begin, this.searched));
      if (end < 0) break;
      this.dispatch(this.rest.slice(begin, end));
      begin = end + 2;
      this.searched = begin;
    }
    this.rest = this.rest.slice(begin);
    // A large event comes in many pieces: what was searched is not searched again.
    this.searched = Math.max(0, this.rest.length - 1);
  }

  private dispatch(block: string): void {
    const event: ServerEvent = { name: 'message', id: '', data: '' };
    for (const line of block.split('\n')) {
      const colon = line.indexOf(':');
      if (colon <= 0) continue; // A comment.
      const value = line.slice(colon + 1).replace(/^ /, '');
      if (line.startsWith('event:')) event.name = value;
      else if (line.startsWith('id:')) event.id = value;
      else if (line.startsWith('data:')) event.data += value;
    }
    if (event.data) this.onEvent(event);
  }
}
