// The smallest service that is worth deploying: it says which version it is, and how it feels.
const http = require("node:http");
const { greeting, healthy, crash } = require("./version.json");

if (crash) {
  console.error("cannot read the configuration that this version needs");
  process.exit(1);
}

http
  .createServer((request, response) => {
    if (request.url === "/healthz") {
      response.writeHead(healthy ? 200 : 500, { "content-type": "text/plain" });
      response.end(healthy ? "ok\n" : "the database migration is missing\n");
      return;
    }
    response.writeHead(200, { "content-type": "text/plain" });
    response.end(`${greeting} (${process.env.TOWPATH_ENVIRONMENT})\n`);
  })
  .listen(process.env.PORT);

process.on("SIGTERM", () => process.exit(0));
