// A sidecar that answers as a test says, on a loopback address.

import { once } from "node:events";
import http from "node:http";

export class FakeSidecar {
  static async start(answer, host = "127.0.0.1") {
    const sidecar = new FakeSidecar();
    sidecar.server = http.createServer((request, response) => {
      request.resume();
      void answer(request, response);
    });
    sidecar.server.listen(0, host);
    await once(sidecar.server, "listening");
    sidecar.port = sidecar.server.address().port;
    return sidecar;
  }

  stop() {
    this.server.close();
    this.server.closeAllConnections();
  }
}

/** Answers with a document. */
export function document(response, value, status = 200) {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}

/** Begins a stream of events. */
export function beginEvents(response) {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.flushHeaders();
}

/** The text of an event. */
export function event(name, data) {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
