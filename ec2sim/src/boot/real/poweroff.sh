#!/bin/sh
# Turns the machine off.
kill -TERM 1
