# The operator: `atelier controller`, `atelier control-plane` and the commands for people.
#
#   docker build -t ghcr.io/atelier-dev/atelier:0.1.0 .
#
# (`make image` builds the image of the small agent, without any registry.)

FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /src
# Of the workspace's packages only what the operator is made of is built; the others must be there to be named.
COPY Cargo.toml Cargo.lock ./
COPY wire wire
COPY agent agent
COPY ec2sim ec2sim
COPY tests tests
COPY src src
RUN cargo build --locked --release --package atelier --bin atelier

# The C library of the same Debian, the certificates of public authorities, a user, and nothing to log in to.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/atelier /usr/local/bin/atelier
# By number: so Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 8080 8090 8443
ENTRYPOINT ["/usr/local/bin/atelier"]
CMD ["controller"]
