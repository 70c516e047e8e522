// Addresses of sidecars: 127.0.0.1:7420, [::1]:7420, http://localhost:7420, https://sidecar.example, unix:/run/x.sock.

const FORM =
  /^(?:(https?):\/\/)?(?:\[([0-9a-f:.]+(?:%[^\x00-\x20\x7f\]/]+)?)\]|([^\x00-\x20\x7f:@/?#[\]\\]+))(?::([0-9]*))?\/?$/i;

const PORTS = { http: "80", https: "443" };

/** Parses an address into `{ socket }` or `{ host, port, tls }`. Throws a `TypeError`. */
export function parse(text) {
  const quoted = JSON.stringify(text);
  if (/^unix:/i.test(text)) {
    const path = text.slice(5).replace(/^\/\/(?=\/)/, "");
    if (path === "" || path.startsWith("//")) throw new TypeError("a unix address is unix:/path/to/the.sock");
    return { socket: path };
  }
  // The text is not repeated: it may hold a password.
  if (text.includes("@")) throw new TypeError("an address has no user and no password; pass the token as `token`");
  const found = FORM.exec(text);
  if (found === null) {
    throw new TypeError(`${quoted} is no address; one looks like 127.0.0.1:7420, [::1]:7420 or http://localhost:7420`);
  }
  const [, scheme, six, name, digits] = found;
  const port = digits || PORTS[scheme?.toLowerCase()];
  if (port === undefined) throw new TypeError(`${quoted} names no port`);
  if (port.length > 5 || Number(port) < 1 || Number(port) > 65_535) {
    throw new TypeError(`${quoted}: a port is a number from 1 to 65535`);
  }
  return { host: name ?? six.replace("%25", "%"), port: Number(port), tls: scheme?.toLowerCase() === "https" };
}
