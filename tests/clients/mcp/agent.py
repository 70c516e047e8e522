"""An agent with the official client for Python: does what its standard input says, a line of JSON each, and prints what
came of it, a line of JSON each.

    agent.py VERSION stdio COMMAND…        starts the server
    agent.py VERSION http URL TOKEN        asks the server there

Orders: {"tool": …, "with": …}, {"list": "tools" | "resources" | "templates" | "prompts"}, {"read": URI},
{"prompt": …, "with": …}. The end of its input ends it in order.
"""

import asyncio
import json
import os
import sys

import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client


async def carry_out(client, order):
    if "tool" in order:
        result = await client.call_tool(order["tool"], order.get("with", {}))
        return {"error": bool(result.is_error), "text": [block.text for block in result.content]}
    if "read" in order:
        result = await client.read_resource(order["read"])
        return {"text": [content.text for content in result.contents]}
    if "prompt" in order:
        result = await client.get_prompt(order["prompt"], order.get("with", {}))
        return {"text": [message.content.text for message in result.messages]}
    what = order["list"]
    if what == "tools":
        return {"tools": [tool.model_dump(mode="json") for tool in (await client.list_tools()).tools]}
    if what == "prompts":
        return {"names": [prompt.name for prompt in (await client.list_prompts()).prompts]}
    if what == "resources":
        return {"names": [str(resource.uri) for resource in (await client.list_resources()).resources]}
    templates = (await client.list_resource_templates()).resource_templates
    return {"names": [template.uri_template for template in templates]}


async def work(client):
    print(json.dumps({"version": client.protocol_version}), flush=True)
    lines = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        try:
            answer = await carry_out(client, json.loads(line))
        except MCPError as error:
            answer = {"refused": str(error)}
        print(json.dumps(answer), flush=True)


async def main(version, transport, *rest):
    mode = "legacy" if version == "2025-11-25" else version
    if transport == "stdio":
        server = StdioServerParameters(command=rest[0], args=list(rest[1:]), env=dict(os.environ))
        async with Client(server, mode=mode) as client:
            await work(client)
        return
    url, token = rest
    headers = {"Authorization": f"Bearer {token}", "Planlease-Request": "true"}
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            await work(client)


asyncio.run(main(*sys.argv[1:]))
