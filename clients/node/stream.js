// Event streams, parsed as the HTML standard defines them (section 9.2.6, "Interpreting an event stream").
//
// Only LF, CR and CRLF end a line: U+2028, U+2029, U+0085 and other line separators are text. Chunks end anywhere, also
// within a character or between a CR and its LF.

/** Parses one stream, chunk by chunk. */
export class Parser {
  // Drops a byte order mark at the start; keeps an unfinished character until the rest of it comes.
  #decoder = new TextDecoder("utf-8");
  #parts = [];
  #endedWithCr = false;
  #name = "";
  #id = null;
  #data = [];

  /** Yields `{ id, name, data }` of each event that these bytes complete. The id is null without an `id` field. */
  *feed(chunk) {
    let text = this.#decoder.decode(chunk, { stream: true });
    if (text === "") return;
    if (this.#endedWithCr && text.startsWith("\n")) text = text.slice(1);
    // A line that ends with a CR is complete: its event does not wait for the LF that may follow.
    this.#endedWithCr = text === "" ? false : text.endsWith("\r");
    let start = 0;
    for (const end of text.matchAll(/\r\n|\r|\n/g)) {
      this.#parts.push(text.slice(start, end.index));
      const line = this.#parts.join("");
      this.#parts = [];
      start = end.index + end[0].length;
      if (line === "") yield* this.#dispatch();
      else this.#field(line);
    }
    if (start < text.length) this.#parts.push(text.slice(start));
  }

  #field(line) {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (name === "event") this.#name = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    // A comment has an empty name. `retry` is ignored: the pauses between connections are the client's own.
  }

  *#dispatch() {
    const event = { id: this.#id, name: this.#name || "message", data: this.#data.join("\n") };
    const complete = this.#data.length > 0;
    [this.#id, this.#name, this.#data] = [null, "", []];
    if (complete) yield event;
  }
}
