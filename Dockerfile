FROM golang:1.26-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# No cgo: SQLite is Go too, so the binary needs nothing around it.
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /out/orbit ./app/orbit && mkdir /out/data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/orbit /orbit
# The default database is a SQLite file in the working directory.
COPY --from=build --chown=nonroot:nonroot /out/data /data
WORKDIR /data
VOLUME /data
ENV ORBIT_ADDR=:8080
EXPOSE 8080
# Asks the admin listener, which stays on the container's own loopback.
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s CMD ["/orbit", "health"]
ENTRYPOINT ["/orbit"]
CMD ["serve"]
