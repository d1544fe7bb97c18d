FROM scratch
COPY atelier-agent /atelier-agent
USER 1000:1000
ENTRYPOINT ["/atelier-agent"]
CMD ["run"]
